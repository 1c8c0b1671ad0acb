/**
 * Gaps in the results of shadow policies: Envoy cannot try them all (compile/access/shadow.ts). A caller gets the gaps of
 * Services and policies in namespaces that it may read; names of other namespaces are hidden.
 */

import type { ShadowGap } from "../../compile/access/shadow.js";
import { compileShadowGaps } from "../../compile/compile.js";
import type { State } from "../../decide/rollout/ports.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { memoize } from "../../declare/resources/memoize.js";
import { namespaceOf } from "../../declare/resources/resource.js";
import { hiddenNames, type MayRead } from "../callers/hiddenNames.js";
import type { ResourceChange } from "../changes/change.js";
import { changedNames } from "../changes/changedNames.js";

const HIDDEN = "a policy of another namespace";

/** Compiling is slow, so its result is cached. */
const shadowGaps = memoize(({ resources, status }: State) => compileShadowGaps(resources, status));

/** @param changes only gaps that these changes concern; null = all */
export function visibleShadowGaps(
	state: State,
	mayRead: MayRead,
	changes: readonly ResourceChange[] | null,
): readonly ShadowGap[] {
	const mayReadNamed = (name: string): boolean => mayRead(namespaceOf(name));
	const shown = (name: string): string => (mayReadNamed(name) ? name : HIDDEN);
	const isAbout = changes === null ? () => true : concerns(changes);
	if (isAbout === null) return [];
	const gaps = shadowGaps(state)
		.filter(isAbout)
		.filter(({ service, untried, tried }) =>
			[service, ...untried.map(({ name }) => name), ...tried].some(mayReadNamed),
		);
	if (gaps.length === 0) return [];
	// A reason may name a Gateway.
	const isHidden = hiddenNames(resourcesOf(state.resources), mayRead);
	return gaps.map(({ untried, tried, ...rest }) => ({
		...rest,
		untried: untried.map(({ name, why }) => ({ name: shown(name), why: isHidden(why) ? "of another namespace" : why })),
		tried: tried.map(shown),
	}));
}

/** Whether a change concerns a gap: it changes the Service, or one of its shadow policies. null = none. */
function concerns(changes: readonly ResourceChange[]): ((gap: ShadowGap) => boolean) | null {
	const [services, policies] = [changedNames(changes, "Service"), changedNames(changes, "AccessPolicy")];
	if (services.size === 0 && policies.size === 0) return null;
	return ({ service, untried, tried }) =>
		services.has(service) || [...untried.map(({ name }) => name), ...tried].some((name) => policies.has(name));
}
