/**
 * Changes of rules that may let in more than before, or less, found by comparing the rules themselves: a request that shows it
 * need not be found. Where this names nothing, and changedSettings (policySettings.ts) names nothing, a request that comes to a
 * Service and a Variant as before is let in there, or kept out, as before. Not looked at is what brings it there: which Variant an
 * Experiment assigns, and what new endpoints serve. The other way round it is careful, not exact: a deny written anew with the
 * same meaning is named too.
 */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";
import { POLICIES_HELD_AGAINST_MAX } from "../../limits.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import { accessTable, isOpen, judgesPaths, judgesUsers, namesCaller } from "../rules/table.js";
import { Room } from "./comparisons.js";
import { covers, uncovered } from "./coverage.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** Each in words, such as `deny removed: no-interns, of Service shop`. */
export function loosened(before: Rules, after: Rules, room = new Room()): readonly string[] {
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
export function tightened(before: Rules, after: Rules, room = new Room()): readonly string[] {
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
export function openings(before: AccessTable, after: AccessTable, room = new Room()): readonly Opening[] {
	if (isOpen(before)) return [];
	if (isOpen(after)) return [{ policy: null, what: LEFT_OPEN }];
	const of = (table: AccessTable, action: PolicyTable["action"]): ReadonlyMap<string, PolicyTable> =>
		new Map([...enforced(table)].filter(([, one]) => one.action === action && (action === "deny" || namesCaller(one))));
	const [allowed, denied] = [of(before, "allow"), of(before, "deny")];
	const [allows, denies] = [of(after, "allow"), of(after, "deny")];
	if (allows.size === 0) return [];
	const openedBy = (policy: PolicyTable, by: readonly ReadonlyMap<string, PolicyTable>[], what: string): Opening[] => {
		room.begin();
		if (by.some((policies) => isCovered(policy, policies, room))) return [];
		return [{ policy, what: room.ranOut ? "it may let in more, there is too much to compare" : what }];
	};
	return [
		...[...denied.values()].flatMap((one) => openedBy(one, [denies], "what it denies is denied no more")),
		...[...allows.values()].flatMap((one) => openedBy(one, [allowed, denies], "it lets in more than the rules of now")),
		...(judgesPaths(before) && !judgesPaths(after)
			? [{ policy: null, what: "paths that can be read in two ways are refused no more" }]
			: []),
		...(judgesUsers(before) && !judgesUsers(after)
			? [{ policy: null, what: "tokens that do not hold are refused no more" }]
			: []),
	];
}

/** The same at many Services, from one declaration to another: Services of a namespace with the same rules are compared once. */
export class OpeningsOfChange {
	readonly #room = new Room();
	readonly #known = new Map<string, readonly Opening[]>();

	of({ metadata: { namespace } }: Service, before: AccessTable, after: AccessTable): readonly Opening[] {
		const tables = [before, after].map(({ open, policies }) => [open, policies.map(({ name }) => name)]);
		const key = JSON.stringify([namespace, tables]);
		const known = this.#known.get(key) ?? openings(before, after, this.#room);
		this.#known.set(key, known);
		return known;
	}
}

/** Whether one of them alone matches all that the policy matches. Of many only its own former self is asked: each with each is quadratic. */
function isCovered(policy: PolicyTable, by: ReadonlyMap<string, PolicyTable>, room: Room): boolean {
	const former = by.get(policy.name);
	if (former !== undefined && room.alone(() => covers(former, policy, room))) return true;
	return by.size <= POLICIES_HELD_AGAINST_MAX && [...by.values()].some((one) => covers(one, policy, room));
}

const enforced = (
	{ policies }: AccessTable,
	isAbout: (policy: string) => boolean = () => true,
): ReadonlyMap<string, PolicyTable> =>
	new Map(policies.filter(({ shadow, name }) => !shadow && isAbout(name)).map((policy) => [policy.name, policy]));
