/**
 * What is not told of shadow policies, since Envoy cannot try them all (compiler/shadow.ts), as a caller may see it: of
 * Services and policies in namespaces that they may read. Whose policy hides the results of theirs is not theirs to know.
 */
import { compileShadowGaps } from "../compiler/compile.js";
import type { ShadowGap } from "../compiler/shadow.js";
import { resourcesOf } from "../resources/kinds.js";
import { once } from "../resources/once.js";
import { namespaceOf } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { type MayRead, visibleProblems } from "./visible.js";
import type { ResourceChange } from "./wishes.js";

const HIDDEN = "a policy of another namespace";

/** Compiling costs more than an answer. */
const shadowGaps = once(({ resources, status }: State) => compileShadowGaps(resources, status));

export function visibleShadowGaps(state: State, mayRead: MayRead): readonly ShadowGap[] {
	const gaps = shadowGaps(state);
	const stored = gaps.length === 0 ? [] : resourcesOf(state.resources);
	const mayReadNamed = (name: string): boolean => mayRead(namespaceOf(name));
	/** Why may name a Gateway. */
	const clean = (text: string): string =>
		visibleProblems([{ position: null, message: text, hint: "" }], stored, mayRead)[0]?.message ?? "";
	const shown = (name: string): string => (mayReadNamed(name) ? name : HIDDEN);
	return gaps
		.filter(({ service, untried, tried }) => [service, ...untried.map(({ name }) => name), ...tried].some(mayReadNamed))
		.map(({ untried, tried, ...rest }) => ({
			...rest,
			untried: untried.map(({ name, why }) => ({ name: shown(name), why: clean(why) })),
			tried: tried.map(shown),
		}));
}

/** Those that a change has to do with: it is of the Service, or of one of its shadow policies. */
export function gapsOf(gaps: readonly ShadowGap[], changes: readonly ResourceChange[]): readonly ShadowGap[] {
	const changed = (kind: ResourceChange["kind"]): ReadonlySet<string> =>
		new Set(changes.flatMap((one) => (one.kind === kind && one.change !== "unchanged" ? [one.name] : [])));
	const [services, policies] = [changed("Service"), changed("AccessPolicy")];
	return gaps.filter(
		({ service, untried, tried }) =>
			services.has(service) || [...untried.map(({ name }) => name), ...tried].some((name) => policies.has(name)),
	);
}
