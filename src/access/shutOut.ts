/**
 * Whom another default Variant would shut out: enforced policies by which a request may use the one of now and not the other.
 * Told from the rules themselves, so that it is careful and not exact: where this names nothing, nobody is shut out; a policy
 * that it names may let in only whom others, or several of them together, let in all the same.
 */
import type { AccessTable, PolicyTable } from "../compiler/plan.js";
import { isPrincipalWithin, uncovered } from "./policyLoosened.js";
import { isOpen, judgesVariant, namesCaller } from "./table.js";

/**
 * Qualified names, in the table's order.
 * @param from the default Variant of now
 * @param nowMs a policy whose time is over by then lets nobody in, and keeps nobody out
 */
export function shutOutBy(access: AccessTable, from: string, to: string, nowMs: number): readonly string[] {
	if (from === to || isOpen(access)) return [];
	const lasting = access.policies.filter((policy) => !policy.shadow && !isOver(policy, nowMs));
	const denies = lasting.filter(({ action }) => action === "deny");
	// An allow that names nobody is for nobody.
	const allows = lasting.filter((policy) => policy.action === "allow" && namesCaller(policy));
	const names = new Set([...beyond(allows, from, to), ...beyond(denies, to, from)]);
	return access.policies.flatMap(({ name }) => (names.has(name) ? [name] : []));
}

/** Those about one Variant of which no policy about the other is certain to say the same. */
function beyond(policies: readonly PolicyTable[], one: string, other: string): readonly string[] {
	const others = policies
		.filter((policy) => isAbout(policy, other) && !readsVariant(policy))
		.map((policy) => ({ ...policy, variants: [] }));
	const isHeld = (part: PolicyTable): boolean =>
		others.some(
			(wide) =>
				// First what is cheap: there may be a thousand of each.
				(wide.principals.length === 0 || part.principals.every((name) => isWithinAny(name, wide))) &&
				uncovered(wide, part).length === 0,
		);
	return policies
		.filter((policy) => isAbout(policy, one) && (!isAbout(policy, other) || readsVariant(policy)))
		.filter((policy) => !partsOf(policy).every(isHeld))
		.map(({ name }) => name);
}

const isAbout = ({ variants }: PolicyTable, variant: string): boolean =>
	variants.length === 0 || variants.includes(variant);

/** A condition may say anything of any two Variants. */
const readsVariant = (policy: PolicyTable): boolean => judgesVariant({ ...policy, variants: [] });

const isWithinAny = (principal: string, { principals }: PolicyTable): boolean =>
	principals.some((wide) => isPrincipalWithin(principal, wide));

/** The same policy, principal by principal: several policies together may hold it. */
const partsOf = (policy: PolicyTable): readonly PolicyTable[] =>
	policy.principals.length < 2 ? [policy] : policy.principals.map((one) => ({ ...policy, principals: [one] }));

const isOver = ({ more }: PolicyTable, nowMs: number): boolean =>
	more !== null && more.validUntilMs !== null && more.validUntilMs <= nowMs;
