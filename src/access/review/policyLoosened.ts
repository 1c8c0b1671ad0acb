/**
 * Changes of rules that may let in more than before, or less, found by comparing the rules themselves: a request that shows it
 * need not be found. Where this names nothing, and changedSettings (policySettings.ts) names nothing, a request that comes to a
 * Service and a Variant as before is let in there, or kept out, as before. Not looked at is what brings it there: which Variant an
 * Experiment assigns, and what new endpoints serve. The other way round it is careful, not exact: a deny written anew with the
 * same meaning is named too.
 */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";
import { POLICIES_HELD_AGAINST_MAX } from "../../limits.js";
import { qualifiedName, type ResourceSet, type Schedule } from "../../resources/resource.js";
import { templateSegments, trimPrefix } from "../requests/path.js";
import { patternsAround } from "../requests/principal.js";
import { PathPatterns } from "../rules/pathPatterns.js";
import { accessTable, isOpen, judgesPaths, judgesUsers, NO_MORE, namesCaller } from "../rules/table.js";
import { newRoom, type Room, takeEntries, takePairs } from "./comparisons.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** Each in words, such as `deny removed: no-interns, of Service shop`. */
export function loosened(before: Rules, after: Rules, room: Room = newRoom()): readonly string[] {
	return changes(before, after, LOOSENED, room);
}

/**
 * The same of one Service, without its name: what one policy does to its rules, and what the change does to them as a whole. That a
 * Service becomes open is said of no rule.
 */
export function loosenedBy(policy: string, before: AccessTable, after: AccessTable, room: Room): readonly string[] {
	if (isOpen(before)) return [];
	if (isOpen(after)) return [LEFT_OPEN];
	return changedRules(before, after, LOOSENED, room, (name) => name === policy);
}

/** The same of rules that may let in less, such as `allow removed: staff, of Service shop`. */
export function tightened(before: Rules, after: Rules, room: Room = newRoom()): readonly string[] {
	// What lets in less one way lets in more the other way round.
	return changes(after, before, TIGHTENED, room);
}

/** What a change is called: of a policy, with its name; of a whole table, as it stands. */
interface Words {
	readonly denyGone: string;
	readonly denyLess: string;
	readonly allowCome: string;
	readonly allowMore: string;
	readonly paths: string;
	readonly tokens: string;
}

const LOOSENED: Words = {
	denyGone: "deny removed",
	denyLess: "deny weakened",
	allowCome: "allow added",
	allowMore: "allow widened",
	paths: "paths that can be read in two ways are refused no more",
	tokens: "tokens that do not hold are refused no more",
};

const TIGHTENED: Words = {
	denyGone: "deny added",
	denyLess: "deny widened",
	allowCome: "allow removed",
	allowMore: "allow narrowed",
	paths: "paths that can be read in two ways are refused now",
	tokens: "tokens that do not hold are refused now",
};

/** What `loose` may let in and `strict` may not, of Services that both have. */
function changes(strict: Rules, loose: Rules, words: Words, room: Room): readonly string[] {
	const services = new Map(loose.services.map((one) => [qualifiedName(one.metadata), one]));
	return strict.services.flatMap((one) => {
		const name = qualifiedName(one.metadata);
		const other = services.get(name);
		if (other === undefined) return [];
		const tables = [
			accessTable(one, strict.accessPolicies, strict.referenceGrants),
			accessTable(other, loose.accessPolicies, loose.referenceGrants),
		] as const;
		return changedRules(...tables, words, room).map((text) => `${text}, of Service ${name}`);
	});
}

/** @param isAbout policies that are looked at, by name */
function changedRules(
	strict: AccessTable,
	loose: AccessTable,
	words: Words,
	room: Room,
	isAbout: (policy: string) => boolean = () => true,
): readonly string[] {
	const [old, now] = [enforced(strict, isAbout), enforced(loose, isAbout)];
	return [
		...[...old].flatMap(([name, policy]) => {
			if (policy.action !== "deny") return [];
			const kept = now.get(name);
			if (kept?.action !== "deny") return [`${words.denyGone}: ${name}`];
			const fields = uncovered(kept, policy, room);
			return fields.length === 0 ? [] : [`${words.denyLess}: ${name} (${fields.join(", ")})`];
		}),
		...[...now].flatMap(([name, policy]) => {
			// An allow that names nobody is for nobody.
			if (policy.action !== "allow" || !namesCaller(policy)) return [];
			const former = old.get(name);
			if (former?.action !== "allow" || !namesCaller(former)) return [`${words.allowCome}: ${name}`];
			const fields = uncovered(former, policy, room);
			return fields.length === 0 ? [] : [`${words.allowMore}: ${name} (${fields.join(", ")})`];
		}),
		...(judgesPaths(strict) && !judgesPaths(loose) ? [words.paths] : []),
		...(judgesUsers(strict) && !judgesUsers(loose) ? [words.tokens] : []),
	];
}

const LEFT_OPEN = "no rule is left, and anyone may call it";

/** What lets in more than before. */
export interface Opening {
	/** The AccessPolicy: an allow that does, or a deny that does not keep out any more; null = it is none of them. */
	readonly policy: Pick<PolicyTable, "name" | "action"> | null;
	readonly what: string;
}

/**
 * Where the rules after may let somebody into one Service whom those before did not. Empty: nobody. Exacter than `loosened`:
 * a rule under a new name opens nothing where one of before let in as much, or where a denial of after keeps all of it out.
 */
export function openings(before: AccessTable, after: AccessTable, room: Room = newRoom()): readonly Opening[] {
	if (isOpen(before)) return [];
	if (isOpen(after)) return [{ policy: null, what: LEFT_OPEN }];
	const of = (table: AccessTable, action: PolicyTable["action"]): ReadonlyMap<string, PolicyTable> =>
		new Map([...enforced(table)].filter(([, one]) => one.action === action && (action === "deny" || namesCaller(one))));
	const [allowed, denied] = [of(before, "allow"), of(before, "deny")];
	const [allows, denies] = [of(after, "allow"), of(after, "deny")];
	if (allows.size === 0) return [];
	return [
		...[...denied.values()].flatMap((one) =>
			isCovered(one, denies, room) ? [] : [{ policy: one, what: "what it denies is denied no more" }],
		),
		...[...allows.values()].flatMap((one) =>
			isCovered(one, allowed, room) || isCovered(one, denies, room)
				? []
				: [{ policy: one, what: "it lets in more than the rules of now" }],
		),
		...(judgesPaths(before) && !judgesPaths(after)
			? [{ policy: null, what: "paths that can be read in two ways are refused no more" }]
			: []),
		...(judgesUsers(before) && !judgesUsers(after)
			? [{ policy: null, what: "tokens that do not hold are refused no more" }]
			: []),
	];
}

/** Whether one of them alone matches all that the policy matches. Of many only its own former self is asked: each with each is quadratic. */
function isCovered(policy: PolicyTable, by: ReadonlyMap<string, PolicyTable>, room: Room): boolean {
	const covers = (one: PolicyTable): boolean => uncovered(one, policy, room).length === 0;
	const former = by.get(policy.name);
	if (former !== undefined && covers(former)) return true;
	return by.size <= POLICIES_HELD_AGAINST_MAX && [...by.values()].some(covers);
}

const enforced = (
	{ policies }: AccessTable,
	isAbout: (policy: string) => boolean = () => true,
): ReadonlyMap<string, PolicyTable> =>
	new Map(policies.filter(({ shadow, name }) => !shadow && isAbout(name)).map((policy) => [policy.name, policy]));

/**
 * Fields in which not all that `narrow` matches is certain to be matched by `wide`; empty = all of it is.
 * @param room what is compared is taken from it; without any left nothing is certain
 */
export function uncovered(wide: PolicyTable, narrow: PolicyTable, room: Room): readonly string[] {
	if (!takeEntries(room, wide, narrow)) return ["too much to compare"];
	const [more, less] = [wide.more ?? NO_MORE, narrow.more ?? NO_MORE];
	const covered: Readonly<Record<string, boolean>> = {
		principals: contains(wide.principals, narrow.principals, isPrincipalWithin),
		users: contains(more.users, less.users, isUserWithin),
		groups: contains(more.groups, less.groups),
		tenants: contains(more.tenants, less.tenants),
		purposes: contains(more.purposes, less.purposes),
		claims: more.claims.every(({ claim, values }) =>
			less.claims.some((one) => one.claim === claim && contains(values, one.values)),
		),
		methods: contains(wide.methods, narrow.methods),
		paths: containsPaths(wide, narrow, room),
		variants: contains(wide.variants, narrow.variants),
		regions: contains(more.regions, less.regions),
		schedule: more.schedule === null || scheduleText(more.schedule) === scheduleText(less.schedule),
		validity:
			(more.validFromMs ?? Number.NEGATIVE_INFINITY) <= (less.validFromMs ?? Number.NEGATIVE_INFINITY) &&
			(more.validUntilMs ?? Number.POSITIVE_INFINITY) >= (less.validUntilMs ?? Number.POSITIVE_INFINITY),
		condition: more.condition === null || more.condition === less.condition,
	};
	return Object.entries(covered).flatMap(([field, holds]) => (holds ? [] : [field]));
}

/** An empty list is no condition, and holds everything. @param isWithin one of them in one of the wide list */
function contains<Item>(
	wide: readonly Item[],
	narrow: readonly Item[],
	isWithin: (one: Item, wide: ReadonlySet<Item>) => boolean = (one, set) => set.has(one),
): boolean {
	if (wide === narrow || wide.length === 0) return true;
	const set = new Set(wide);
	return narrow.length > 0 && narrow.every((one) => isWithin(one, set));
}

/** Looked up: a list may have tens of thousands, and each with each would hold everybody up. */
const isPrincipalWithin = (one: string, wide: ReadonlySet<string>): boolean =>
	[...patternsAround(one)].some((pattern) => wide.has(pattern));

const isUserWithin = (one: string, wide: ReadonlySet<string>): boolean =>
	[one, "*", `${one.slice(0, one.indexOf("#"))}#*`].some((pattern) => wide.has(pattern));

/** Prefixes are looked up, templates compared. */
function containsPaths(wide: PolicyTable, narrow: PolicyTable, room: Room): boolean {
	const [around, within] = [templatesOf(wide), templatesOf(narrow)];
	if (wide.pathPrefixes === narrow.pathPrefixes && around === within) return true;
	if (wide.pathPrefixes.length + around.length === 0) return true;
	if (narrow.pathPrefixes.length + within.length === 0) return false;
	const isUnderOne = (path: string): boolean => wide.pathPrefixes.length > 0 && inOrder(wide.pathPrefixes).fits(path);
	if (!narrow.pathPrefixes.every((prefix) => isUnderOne(trimPrefix(prefix)))) return false;
	const shapes = around.map(templateSegments);
	const same = new Set(shapes.map((shape) => JSON.stringify(shape)));
	const others = within
		.map(templateSegments)
		.filter((one) => !same.has(JSON.stringify(one)) && !isUnderOne(literalBegin(one)));
	if (!takePairs(room, others.length * shapes.length)) return false;
	return others.every((one) => shapes.some((shape) => isLike(one, shape)));
}

const templatesOf = ({ more }: PolicyTable): readonly string[] => (more ?? NO_MORE).pathTemplates;

/** In order, each list once: a policy is held against many, and is about many Services. */
const ordered = new WeakMap<readonly string[], PathPatterns>();
function inOrder(prefixes: readonly string[]): PathPatterns {
	const known = ordered.get(prefixes) ?? new PathPatterns(prefixes, []);
	ordered.set(prefixes, known);
	return known;
}

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
