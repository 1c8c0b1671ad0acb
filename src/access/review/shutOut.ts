/**
 * Whom another default Variant would shut out: enforced policies by which a request may use the one of now and not the other.
 * Told from the rules themselves, so that it is careful and not exact: where this names nothing, nobody is shut out; a policy
 * that it names may let in only whom others, or several of them together, let in all the same.
 */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";
import { SHUT_OUT_COMPARISONS_MAX } from "../../limits.js";
import { patternsAround } from "../requests/principal.js";
import { isOpen, judgesVariant, namesCaller } from "../rules/table.js";
import { unbounded } from "./comparisons.js";
import { covers } from "./coverage.js";

/** What may still be compared. */
interface Room {
	comparisons: number;
}

/** To look a principal up takes this part of comparing two entries. */
const LOOKUPS_PER_COMPARISON = 8;

/**
 * Qualified names, in the table's order; null = there are too many policies to tell, which is no all-clear.
 * @param from the default Variant of now
 * @param nowMs a policy whose time is over by then lets nobody in, and keeps nobody out
 * @param room what is compared is taken from it
 */
export function shutOutBy(
	access: AccessTable,
	from: string,
	to: string,
	nowMs: number,
	room: Room = { comparisons: SHUT_OUT_COMPARISONS_MAX },
): readonly string[] | null {
	if (from === to || isOpen(access)) return [];
	const lasting = access.policies.filter((policy) => !policy.shadow && !isOver(policy, nowMs));
	const denies = lasting.filter(({ action }) => action === "deny");
	// An allow that names nobody is for nobody.
	const allows = lasting.filter((policy) => policy.action === "allow" && namesCaller(policy));
	const names = new Set([...beyond(allows, from, to, room), ...beyond(denies, to, from, room)]);
	if (room.comparisons < 0) return null;
	return access.policies.flatMap(({ name }) => (names.has(name) ? [name] : []));
}

/** Those about one Variant of which no policy about the other is certain to say the same. Ends early without room. */
function beyond(policies: readonly PolicyTable[], one: string, other: string, room: Room): readonly string[] {
	const othersOf = byPrincipal(policies.filter((policy) => isAbout(policy, other) && !readsVariant(policy)));
	// The work is counted here, before it is done.
	const counted = unbounded();
	const isHeldBy = (part: PolicyTable, sizes: Sizes, wide: Wide): boolean => {
		room.comparisons -= workOf(wide.sizes, sizes);
		return room.comparisons >= 0 && covers(wide.policy, part, counted);
	};
	const isHeld = (policy: PolicyTable): boolean => {
		const sizes = sizesOf(policy);
		return principalsOf(policy).every((principal) => {
			const keys = principal === null ? [null] : [null, ...patternsAround(principal)];
			room.comparisons -= Math.ceil(keys.length / LOOKUPS_PER_COMPARISON);
			if (room.comparisons < 0) return false;
			return keys.some((key) => othersOf.get(key)?.some((wide) => isHeldBy(policy, sizes, wide)));
		});
	};
	return policies
		.filter((policy) => isAbout(policy, one) && (!isAbout(policy, other) || readsVariant(policy)))
		.filter((policy) => room.comparisons >= 0 && !isHeld(policy))
		.map(({ name }) => name);
}

/** One that may hold others, without what has been compared already: its Variants and its principals. */
interface Wide {
	readonly policy: PolicyTable;
	readonly sizes: Sizes;
}

/** By each principal as it is written; null = of those that name none. */
function byPrincipal(policies: readonly PolicyTable[]): ReadonlyMap<string | null, readonly Wide[]> {
	const found = new Map<string | null, Wide[]>();
	for (const policy of policies) {
		const wide = { policy: { ...policy, variants: [], principals: [] }, sizes: sizesOf(policy) };
		for (const principal of new Set(principalsOf(policy))) {
			const list = found.get(principal);
			if (list === undefined) found.set(principal, [wide]);
			else list.push(wide);
		}
	}
	return found;
}

/** Principal by principal, for several policies together may hold one. */
const principalsOf = ({ principals }: PolicyTable): readonly (string | null)[] =>
	principals.length === 0 ? [null] : principals;

/** Entries of each list that `uncovered` compares, in one order. */
type Sizes = readonly number[];

function sizesOf({ methods, pathPrefixes, more }: PolicyTable): Sizes {
	const { users = [], groups = [], tenants = [], purposes = [], claims = [], regions = [] } = more ?? {};
	const values = claims.reduce((sum, one) => sum + one.values.length, claims.length);
	const paths = pathPrefixes.length + (more?.pathTemplates.length ?? 0);
	return [users, groups, tenants, purposes, regions, methods].map(({ length }) => length).concat(values, paths);
}

/** Entries that are read, and pairs of them. */
const workOf = (wide: Sizes, part: Sizes): number =>
	wide.reduce((sum, size, at) => sum + size + (size + 1) * (part[at] ?? 0), 1);

const isAbout = ({ variants }: PolicyTable, variant: string): boolean =>
	variants.length === 0 || variants.includes(variant);

/** A condition may say anything of any two Variants. */
const readsVariant = (policy: PolicyTable): boolean => judgesVariant({ ...policy, variants: [] });

const isOver = ({ more }: PolicyTable, nowMs: number): boolean =>
	more !== null && more.validUntilMs !== null && more.validUntilMs <= nowMs;
