/**
 * Changes of rules that may let in more than before, or less, found by comparing the rules themselves: a request that shows it
 * need not be found. Where this names nothing, and changedSettings (policySettings.ts) names nothing, a request that comes to a
 * Service and a Variant as before is let in there, or kept out, as before. Not looked at is what brings it there: which Variant an
 * Experiment assigns, and what new endpoints serve. The other way round it is careful, not exact: a deny written anew with the
 * same meaning is named too.
 */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import { accessTable, isOpen, judgesPaths, judgesUsers, namesCaller } from "../rules/table.js";
import { OWN_LOOKUPS, Room } from "./comparisons.js";
import { contentOf, covers, uncovered } from "./coverage.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** Each in words, such as `deny removed: no-interns, of Service shop`. */
export function loosened(before: Rules, after: Rules, room = new Room()): readonly string[] {
	return changes(before, after, LOOSENED, room);
}

/**
 * The same of one Service, without its name: what one policy does to its rules, and what the change does to them as a whole. That a
 * Service becomes open is said of no rule.
 */
export function loosenedBy(policy: string, before: Enforced, after: Enforced, room: Room): readonly string[] {
	if (before.open) return [];
	if (after.open) return [LEFT_OPEN];
	return changedRules(before, after, LOOSENED, room, policy);
}

/** What of a table matters here. */
export interface Enforced {
	readonly policies: ReadonlyMap<string, PolicyTable>;
	/** Anyone may call. */
	readonly open: boolean;
	readonly judgesPaths: boolean;
	readonly judgesUsers: boolean;
}

export const enforced = (table: AccessTable): Enforced => ({
	policies: new Map(table.policies.filter(({ shadow }) => !shadow).map((policy) => [policy.name, policy])),
	open: isOpen(table),
	judgesPaths: judgesPaths(table),
	judgesUsers: judgesUsers(table),
});

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
		const rules = [
			enforced(accessTable(one, strict.accessPolicies, strict.referenceGrants)),
			enforced(accessTable(other, loose.accessPolicies, loose.referenceGrants)),
		] as const;
		return changedRules(...rules, words, room).map((text) => `${text}, of Service ${name}`);
	});
}

/** @param name of the one policy that is looked at; null = all are */
function changedRules(
	strict: Enforced,
	loose: Enforced,
	words: Words,
	room: Room,
	name: string | null = null,
): readonly string[] {
	const lookedAt = ({ policies }: Enforced): readonly PolicyTable[] =>
		[...(name === null ? policies.values() : [policies.get(name)])].filter((one) => one !== undefined);
	return [
		...lookedAt(strict).flatMap((policy) => {
			if (policy.action !== "deny") return [];
			const kept = loose.policies.get(policy.name);
			if (kept?.action !== "deny") return [`${words.denyGone}: ${policy.name}`];
			const fields = uncovered(kept, policy, room);
			return fields.length === 0 ? [] : [`${words.denyLess}: ${policy.name} (${fields.join(", ")})`];
		}),
		...lookedAt(loose).flatMap((policy) => {
			// An allow that names nobody is for nobody.
			if (policy.action !== "allow" || !namesCaller(policy)) return [];
			const former = strict.policies.get(policy.name);
			if (former?.action !== "allow" || !namesCaller(former)) return [`${words.allowCome}: ${policy.name}`];
			const fields = uncovered(former, policy, room);
			return fields.length === 0 ? [] : [`${words.allowMore}: ${policy.name} (${fields.join(", ")})`];
		}),
		...(strict.judgesPaths && !loose.judgesPaths ? [words.paths] : []),
		...(strict.judgesUsers && !loose.judgesUsers ? [words.tokens] : []),
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
	const [old, now] = [enforced(before), enforced(after)];
	if (old.open) return [];
	if (now.open) return [{ policy: null, what: LEFT_OPEN }];
	const of = ({ policies }: Enforced, action: PolicyTable["action"]): readonly PolicyTable[] =>
		[...policies.values()].filter((one) => one.action === action && (action === "deny" || namesCaller(one)));
	const [denied, allows] = [of(old, "deny"), of(now, "allow")];
	if (allows.length === 0) return [];
	const [wereAllowed, areDenied] = [new Covering(of(old, "allow"), room), new Covering(of(now, "deny"), room)];
	const told = (policy: PolicyTable, by: readonly Covering[], what: string): Opening[] => {
		let words = what;
		for (const covering of by) {
			const found = covering.covers(policy);
			if (found === true) return [];
			if (found === null) words = "it may let in more, there is too much to compare";
		}
		return [{ policy, what: words }];
	};
	return [
		...denied.flatMap((one) => told(one, [areDenied], "what it denies is denied no more")),
		...allows.flatMap((one) => told(one, [wereAllowed, areDenied], "it lets in more than the rules of now")),
		...(old.judgesPaths && !now.judgesPaths
			? [{ policy: null, what: "paths that can be read in two ways are refused no more" }]
			: []),
		...(old.judgesUsers && !now.judgesUsers
			? [{ policy: null, what: "tokens that do not hold are refused no more" }]
			: []),
	];
}

/** The same at many Services, from one declaration to another: Services of a namespace with the same rules are compared once. */
export class OpeningsOfChange {
	readonly #known = new Map<string, readonly Opening[]>();

	constructor(private readonly room = new Room()) {}

	of({ metadata: { namespace } }: Service, before: AccessTable, after: AccessTable): readonly Opening[] {
		const tables = [before, after].map(({ open, policies }) => [open, policies.map(({ name }) => name)]);
		const key = JSON.stringify([namespace, tables]);
		const known = this.#known.get(key) ?? openings(before, after, this.room);
		this.#known.set(key, known);
		return known;
	}
}

/** Whether one of the policies alone matches all that another one matches: one that says the same, its former self, or any. */
class Covering {
	readonly #contents: ReadonlySet<number>;
	readonly #named: ReadonlyMap<string, PolicyTable>;

	constructor(
		private readonly policies: readonly PolicyTable[],
		private readonly room: Room,
	) {
		this.#contents = new Set(policies.map((one) => contentOf(one, room)));
		this.#named = new Map(policies.map((one) => [one.name, one]));
	}

	/** @returns null = not all could be compared */
	covers(policy: PolicyTable): boolean | null {
		if (this.#contents.has(contentOf(policy, this.room))) return true;
		const former = this.#named.get(policy.name);
		if (former !== undefined && covers(former, policy, this.room.forOne(OWN_LOOKUPS))) return true;
		const rest = this.room.forOne();
		for (const one of this.policies) {
			// There may be many more, at many Services.
			if (rest.isSpent) return null;
			if (covers(one, policy, rest)) return true;
		}
		return rest.ranOut ? null : false;
	}
}
