/**
 * Whether all that one rule matches is matched by another: careful, not exact, for what is not certain is taken for not
 * matched. A schedule or a condition in CEL holds one of the same words alone.
 */
import type { PolicyTable } from "../../compiler/plan.js";
import type { Schedule } from "../../resources/resource.js";
import { templateSegments, trimPrefix } from "../requests/path.js";
import { ANYONE, patternsAround, principalPrefix } from "../requests/principal.js";
import { PathPatterns } from "../rules/pathPatterns.js";
import { NO_MORE } from "../rules/table.js";
import type { Room } from "./comparisons.js";

/** Whether what the narrow one asks of a request is at least what the wide one asks. */
type Holds = (wide: PolicyTable, narrow: PolicyTable, room: Room) => boolean;

const more = (policy: PolicyTable) => policy.more ?? NO_MORE;

const FIELDS: Readonly<Record<string, Holds>> = {
	principals: (wide, narrow, room) => containsPrincipals(wide.principals, narrow.principals, room),
	users: (wide, narrow, room) => contains(more(wide).users, more(narrow).users, room, isUserWithin),
	groups: (wide, narrow, room) => contains(more(wide).groups, more(narrow).groups, room),
	tenants: (wide, narrow, room) => contains(more(wide).tenants, more(narrow).tenants, room),
	purposes: (wide, narrow, room) => contains(more(wide).purposes, more(narrow).purposes, room),
	claims: (wide, narrow, room) =>
		more(wide).claims.every(({ claim, values }) =>
			more(narrow).claims.some((one) => one.claim === claim && contains(values, one.values, room)),
		),
	methods: (wide, narrow, room) => contains(wide.methods, narrow.methods, room),
	paths: (wide, narrow, room) => containsPaths(wide, narrow, room),
	variants: (wide, narrow, room) => contains(wide.variants, narrow.variants, room),
	regions: (wide, narrow, room) => contains(more(wide).regions, more(narrow).regions, room),
	schedule: (wide, narrow) =>
		more(wide).schedule === null || scheduleText(more(wide).schedule) === scheduleText(more(narrow).schedule),
	validity: (wide, narrow) =>
		(more(wide).validFromMs ?? Number.NEGATIVE_INFINITY) <= (more(narrow).validFromMs ?? Number.NEGATIVE_INFINITY) &&
		(more(wide).validUntilMs ?? Number.POSITIVE_INFINITY) >= (more(narrow).validUntilMs ?? Number.POSITIVE_INFINITY),
	condition: (wide, narrow) => more(wide).condition === null || more(wide).condition === more(narrow).condition,
};
const ALL = Object.values(FIELDS);

/** Whether it is certain; ends at the first field in which it is not. @param room what is compared is taken from it */
export function covers(wide: PolicyTable, narrow: PolicyTable, room: Room): boolean {
	return room.takeEntries(1) && ALL.every((holds) => holds(wide, narrow, room));
}

/** Fields in which it is not certain; empty = all that `narrow` matches is matched. @param room as of `covers` */
export function uncovered(wide: PolicyTable, narrow: PolicyTable, room: Room): readonly string[] {
	room.begin();
	const fields = room.alone(() =>
		Object.entries(FIELDS).flatMap(([field, holds]) => (holds(wide, narrow, room) ? [] : [field])),
	);
	return room.ranOut ? ["too much to compare"] : fields;
}

/** An empty list is no condition, and holds everything. @param isWithin one of them in one of the wide list */
function contains(
	wide: readonly string[],
	narrow: readonly string[],
	room: Room,
	isWithin: (one: string, wide: ReadonlySet<string>) => boolean = (one, set) => set.has(one),
): boolean {
	if (wide === narrow || wide.length === 0) return true;
	if (narrow.length === 0) return false;
	const set = room.once(wide, () => new Set(wide));
	return set !== null && narrow.every((one) => room.takeEntries(1) && isWithin(one, set));
}

/** To look a principal's prefixes up takes so many entries for each segment of it. */
const ENTRIES_PER_SEGMENT = 4;

/** Looked up: a list may have tens of thousands, and each with each would hold everybody up. */
function containsPrincipals(wide: readonly string[], narrow: readonly string[], room: Room): boolean {
	if (wide === narrow || wide.length === 0) return true;
	if (narrow.length === 0) return false;
	const known = room.once(wide, () => ({
		all: new Set(wide),
		hasPrefixes: wide.some((pattern) => principalPrefix(pattern) !== null),
	}));
	if (known === null) return false;
	const { all, hasPrefixes } = known;
	const isWithin = (one: string): boolean => {
		if (!room.takeEntries(1)) return false;
		if (all.has(one) || all.has(ANYONE) || (one !== ANYONE && all.has("*"))) return true;
		if (!hasPrefixes || one === ANYONE || !room.takeEntries(one.split("/").length * ENTRIES_PER_SEGMENT)) return false;
		return [...patternsAround(one)].some((pattern) => all.has(pattern));
	};
	return narrow.every(isWithin);
}

const isUserWithin = (one: string, wide: ReadonlySet<string>): boolean =>
	[one, "*", `${one.slice(0, one.indexOf("#"))}#*`].some((pattern) => wide.has(pattern));

/** To look a path up among prefixes, or to take a template apart, takes so many entries. */
const ENTRIES_PER_PREFIX = 10;

/** Prefixes are looked up, templates compared. */
function containsPaths(wide: PolicyTable, narrow: PolicyTable, room: Room): boolean {
	const [around, within] = [templatesOf(wide), templatesOf(narrow)];
	if (wide.pathPrefixes === narrow.pathPrefixes && around === within) return true;
	if (wide.pathPrefixes.length + around.length === 0) return true;
	if (narrow.pathPrefixes.length + within.length === 0) return false;
	const under = room.once(wide.pathPrefixes, () => new PathPatterns(wide.pathPrefixes, []));
	if (under === null) return false;
	const isUnderOne = (path: string): boolean => wide.pathPrefixes.length > 0 && under.fits(path);
	if (!narrow.pathPrefixes.every((prefix) => room.takeEntries(ENTRIES_PER_PREFIX) && isUnderOne(trimPrefix(prefix))))
		return false;
	if (!room.takeEntries((around.length + within.length) * ENTRIES_PER_PREFIX)) return false;
	const shapes = around.map(templateSegments);
	const same = new Set(shapes.map((shape) => JSON.stringify(shape)));
	const others = within
		.map(templateSegments)
		.filter((one) => !same.has(JSON.stringify(one)) && !isUnderOne(literalBegin(one)));
	if (!room.takePairs(others.length * shapes.length)) return false;
	return others.every((one) => shapes.some((shape) => isLike(one, shape)));
}

const templatesOf = ({ more }: PolicyTable): readonly string[] => (more ?? NO_MORE).pathTemplates;

/** What every path that fits the template begins with, up to its first `{name}`. */
function literalBegin(segments: readonly (string | null)[]): string {
	const end = segments.indexOf(null);
	return (end < 0 ? segments : segments.slice(0, end)).map((segment) => `/${segment}`).join("");
}

/** Whether all paths that fit the one fit the other. */
const isLike = (one: readonly (string | null)[], other: readonly (string | null)[]): boolean =>
	one.length === other.length &&
	other.every((segment, at) => (segment === null ? one[at] !== "" : one[at] === segment));

/** Days in whatever order. */
const scheduleText = (schedule: Schedule | null): string =>
	schedule === null ? "" : JSON.stringify({ ...schedule, days: [...schedule.days].sort() });
