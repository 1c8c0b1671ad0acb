/** Paths at the bounds of rules: of every prefix and template one inside and some outside, and where two rules meet. */
import type { PolicyTable } from "../../compiler/plan.js";
import { prefixSegments, templateSegments, trimPrefix } from "../requests/path.js";

const OUTSIDE = "weir-outside";

/** @param literals of conditions in CEL, that begin with a slash; taken for prefixes */
export function pathsAtBounds(policies: readonly PolicyTable[], literals: readonly string[]): readonly string[] {
	const prefixes = [...policies.flatMap(({ pathPrefixes }) => pathPrefixes), ...literals];
	const templates = policies.flatMap(({ more }) => more?.pathTemplates ?? []);
	const any = unnamed([...prefixes, ...templates]);
	const spelt = (segments: readonly (string | null)[]): string =>
		segments.map((segment) => `/${segment ?? any}`).join("") || "/";
	const shapes = (action: PolicyTable["action"]) =>
		policies.filter((policy) => policy.action === action).flatMap(shapesOf);
	const denied = shapes("deny");
	return [
		...new Set([
			"/",
			`/${OUTSIDE}`,
			...prefixes.flatMap((prefix) => {
				const path = trimPrefix(prefix);
				return [path === "" ? "/" : path, `${path}/`, `${path}/${any}`, `${path}${any}`];
			}),
			...templates.flatMap((template) => {
				const path = spelt(templateSegments(template));
				return [path, `${path}/${any}`, `${path}${any}`, path.slice(0, path.lastIndexOf("/")) || "/"];
			}),
			...shapes("allow").flatMap((one) => denied.flatMap((other) => met(one, other)?.map(spelt) ?? [])),
		]),
	];
}

/** What every path that fits has, segment by segment; null = any segment. */
interface PathShape {
	readonly segments: readonly (string | null)[];
	/** A prefix's: whatever comes after. */
	readonly goesOn: boolean;
}

/** Prefixes and templates are one condition, either will do. */
const shapesOf = ({ pathPrefixes, more }: PolicyTable): readonly PathShape[] => [
	...pathPrefixes.map((prefix) => ({ segments: prefixSegments(prefix), goesOn: true })),
	...(more?.pathTemplates ?? []).map((template) => ({ segments: templateSegments(template), goesOn: false })),
];

/** The paths that both fit, in their most general form; null = none does. */
function met(one: PathShape, other: PathShape): readonly (readonly (string | null)[])[] | null {
	const [long, short] = one.segments.length >= other.segments.length ? [one, other] : [other, one];
	if (long.segments.length > short.segments.length && !short.goesOn) return null;
	const segments: (string | null)[] = [];
	for (const [at, segment] of long.segments.entries()) {
		const beside = at < short.segments.length ? (short.segments[at] ?? null) : null;
		if (segment !== null && beside !== null && segment !== beside) return null;
		segments.push(segment ?? beside);
	}
	return long.goesOn && short.goesOn ? [segments, [...segments, null]] : [segments];
}

/** A segment that no rule names: what fits it fits by a `{name}` or a prefix alone. */
function unnamed(written: readonly string[]): string {
	const named = new Set(written.flatMap((path) => path.split("/")));
	let any = "x";
	for (let n = 1; named.has(any); n++) any = `x${n}`;
	return any;
}
