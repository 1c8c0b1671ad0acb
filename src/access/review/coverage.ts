/**
 * Whether all that one rule matches is matched by another: careful, not exact, for what is not certain is taken for not
 * matched. A schedule or a condition in CEL holds one of the same words alone.
 */
import type { PolicyTable } from "../../compiler/plan.js";
import type { Schedule } from "../../resources/resource.js";
import { prefixSegments, templateSegments } from "../requests/path.js";
import { ANYONE, patternsAround, principalPrefix } from "../requests/principal.js";
import { NO_MORE } from "../rules/table.js";
import { lookupsOf, lookupsOfAll, OWN_LOOKUPS, type Room } from "./comparisons.js";
import { PathTree } from "./pathTree.js";

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
			more(narrow).claims.some((one) => room.take(1) && one.claim === claim && contains(values, one.values, room)),
		),
	methods: (wide, narrow, room) => contains(wide.methods, narrow.methods, room),
	paths: (wide, narrow, room) => containsPaths(wide, narrow, room),
	variants: (wide, narrow, room) => contains(wide.variants, narrow.variants, room),
	regions: (wide, narrow, room) => contains(more(wide).regions, more(narrow).regions, room),
	schedule: (wide, narrow, room) => isSameTime(more(wide).schedule, more(narrow).schedule, room),
	validity: (wide, narrow) =>
		(more(wide).validFromMs ?? Number.NEGATIVE_INFINITY) <= (more(narrow).validFromMs ?? Number.NEGATIVE_INFINITY) &&
		(more(wide).validUntilMs ?? Number.POSITIVE_INFINITY) >= (more(narrow).validUntilMs ?? Number.POSITIVE_INFINITY),
	condition: (wide, narrow) => more(wide).condition === null || more(wide).condition === more(narrow).condition,
};
const ALL = Object.values(FIELDS);

/** Whether it is certain; ends at the first field in which it is not. @param room what is compared is taken from it */
export const covers = (wide: PolicyTable, narrow: PolicyTable, room: Room): boolean =>
	room.take(1) && ALL.every((holds) => holds(wide, narrow, room));

/** Fields in which it is not certain of a rule and its former self; empty = all that `narrow` matches is matched. @param room as of `covers` */
export function uncovered(wide: PolicyTable, narrow: PolicyTable, room: Room): readonly string[] {
	if (saysTheSame(wide, narrow, room)) return [];
	const own = room.forOne(OWN_LOOKUPS);
	const fields = Object.entries(FIELDS).flatMap(([field, holds]) => (holds(wide, narrow, own) ? [] : [field]));
	return own.ranOut ? ["too much to compare"] : fields;
}

/** Of all that a policy says but its name: of as many as there are, one that says the same is found at once. */
export const contentOf = (policy: PolicyTable, { memory }: Room): number => memory.numberOf(policy, textOf);

const textOf = (policy: PolicyTable): string => JSON.stringify({ ...policy, name: "" });

const saysTheSame = (one: PolicyTable, other: PolicyTable, room: Room): boolean =>
	contentOf(one, room) === contentOf(other, room);

const setOf = (list: readonly string[]): ReadonlySet<string> => new Set(list);

/** An empty list is no condition, and holds everything. @param isWithin one of them in one of the wide list */
function contains(
	wide: readonly string[],
	narrow: readonly string[],
	room: Room,
	isWithin: (one: string, wide: ReadonlySet<string>) => boolean = (one, set) => set.has(one),
): boolean {
	if (wide === narrow || wide.length === 0) return true;
	if (narrow.length === 0) return false;
	const set = room.onceFor(wide, setOf, lookupsOfAll);
	return set !== null && narrow.every((one) => room.take(lookupsOf(one)) && isWithin(one, set));
}

/** To make the patterns around a principal takes some times what it takes to look them up. */
const LOOKUPS_PER_PATTERN = 4;

/** Looked up: a list may have tens of thousands, and each with each would hold everybody up. */
function containsPrincipals(wide: readonly string[], narrow: readonly string[], room: Room): boolean {
	if (wide === narrow || wide.length === 0) return true;
	if (narrow.length === 0) return false;
	const known = room.onceFor(wide, principalsOf, lookupsOfAll);
	if (known === null) return false;
	const { all, charsMax } = known;
	const isWithin = (one: string): boolean => {
		if (!room.take(lookupsOf(one))) return false;
		if (all.has(one) || all.has(ANYONE) || (one !== ANYONE && all.has("*"))) return true;
		if (charsMax === 0) return false;
		const around = patternsAround(one, charsMax);
		const length = Math.min(one.length, charsMax);
		return (
			room.take(around.size * LOOKUPS_PER_PATTERN * lookupsOf(one.slice(0, length))) &&
			[...around].some((pattern) => all.has(pattern))
		);
	};
	return narrow.every(isWithin);
}

/** @property charsMax of the longest pattern with a prefix; 0 = there is none */
function principalsOf(list: readonly string[]): { readonly all: ReadonlySet<string>; readonly charsMax: number } {
	const patterns = list.filter((pattern) => principalPrefix(pattern) !== null);
	return { all: new Set(list), charsMax: patterns.reduce((most, { length }) => Math.max(most, length), 0) };
}

const isUserWithin = (one: string, wide: ReadonlySet<string>): boolean =>
	[one, "*", `${one.slice(0, one.indexOf("#"))}#*`].some((pattern) => wide.has(pattern));

function containsPaths(wide: PolicyTable, narrow: PolicyTable, room: Room): boolean {
	const [around, within] = [templatesOf(wide), templatesOf(narrow)];
	if (wide.pathPrefixes === narrow.pathPrefixes && around === within) return true;
	if (wide.pathPrefixes.length + around.length === 0) return true;
	if (narrow.pathPrefixes.length + within.length === 0) return false;
	const over = room.onceFor(wide.pathPrefixes, PathTree.ofPrefixes, lookupsOfPaths);
	const like = room.onceFor(around, PathTree.ofTemplates, lookupsOfPaths);
	if (over === null || like === null) return false;
	const segmentsOf = (paths: readonly string[], read: typeof readTemplates) =>
		room.onceFor(paths, read, lookupsOfPaths);
	const [prefixes, templates] = [segmentsOf(narrow.pathPrefixes, readPrefixes), segmentsOf(within, readTemplates)];
	return (
		prefixes !== null &&
		templates !== null &&
		prefixes.every((one) => over.isOver(one, room)) &&
		templates.every((one) => over.isOver(one, room) || like.holds(one, room))
	);
}

const readPrefixes = (paths: readonly string[]) => paths.map(prefixSegments);
const readTemplates = (paths: readonly string[]) => paths.map(templateSegments);

/** As many as they have segments, or as they are long. */
const lookupsOfPaths = (paths: readonly string[]): number =>
	paths.reduce((sum, path) => sum + path.split("/").length + lookupsOf(path), 0);

const templatesOf = ({ more }: PolicyTable): readonly string[] => (more ?? NO_MORE).pathTemplates;

/** To write a schedule takes as long as so many. */
const LOOKUPS_PER_SCHEDULE = 20;

/** The same words; days in whatever order. */
function isSameTime(wide: Schedule | null, narrow: Schedule | null, room: Room): boolean {
	if (wide === null) return true;
	if (narrow === null) return false;
	const [one, other] = [wide, narrow].map((each) => room.onceFor(each, scheduleText, () => LOOKUPS_PER_SCHEDULE));
	return one !== null && one === other;
}

const scheduleText = (schedule: Schedule): string => JSON.stringify({ ...schedule, days: [...schedule.days].sort() });
