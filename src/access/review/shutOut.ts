/**
 * Whom another default Variant would shut out: enforced policies by which a request may use the one of now and not the other.
 * Told from the rules themselves, so that it is careful and not exact: where this names nothing, nobody is shut out; a policy
 * that it names may let in only whom others, or several of them together, let in all the same.
 */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";
import { SHUT_OUT_LOOKUPS_MAX } from "../../limits.js";
import { patternsAround } from "../requests/principal.js";
import { isOpen, judgesVariant, namesCaller } from "../rules/table.js";
import { lookupsOf, Room } from "./comparisons.js";
import { covers } from "./coverage.js";

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
	room = new Room(SHUT_OUT_LOOKUPS_MAX),
): readonly string[] | null {
	if (from === to || isOpen(access)) return [];
	const lasting = access.policies.filter((policy) => !policy.shadow && !isOver(policy, nowMs));
	const denies = lasting.filter(({ action }) => action === "deny");
	// An allow that names nobody is for nobody.
	const allows = lasting.filter((policy) => policy.action === "allow" && namesCaller(policy));
	const names = new Set([...beyond(allows, from, to, room), ...beyond(denies, to, from, room)]);
	if (room.ranOut) return null;
	return access.policies.flatMap(({ name }) => (names.has(name) ? [name] : []));
}

/** Those about one Variant of which no policy about the other is certain to say the same. Ends early without room. */
function beyond(policies: readonly PolicyTable[], one: string, other: string, room: Room): readonly string[] {
	const othersOf = byPrincipal(policies.filter((policy) => isAbout(policy, other) && !readsVariant(policy)));
	const isHeld = (policy: PolicyTable): boolean =>
		principalsOf(policy).every((principal) => {
			const keys = principal === null ? [null] : [null, ...patternsAround(principal)];
			if (!room.take(keys.length * lookupsOf(principal ?? ""))) return false;
			// Without room nothing is said of anybody.
			return keys.some((key) => othersOf.get(key)?.some((wide) => room.ranOut || covers(wide, policy, room)));
		});
	return policies
		.filter((policy) => isAbout(policy, one) && (!isAbout(policy, other) || readsVariant(policy)))
		.filter((policy) => !room.ranOut && !isHeld(policy))
		.map(({ name }) => name);
}

/** Without what has been compared already, its Variants and principals; by each of these as it is written, null = it names none. */
function byPrincipal(policies: readonly PolicyTable[]): ReadonlyMap<string | null, readonly PolicyTable[]> {
	const found = new Map<string | null, PolicyTable[]>();
	for (const policy of policies) {
		const wide = { ...policy, variants: [], principals: [] };
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

const isAbout = ({ variants }: PolicyTable, variant: string): boolean =>
	variants.length === 0 || variants.includes(variant);

/** A condition may say anything of any two Variants. */
const readsVariant = (policy: PolicyTable): boolean => judgesVariant({ ...policy, variants: [] });

const isOver = ({ more }: PolicyTable, nowMs: number): boolean =>
	more !== null && more.validUntilMs !== null && more.validUntilMs <= nowMs;
