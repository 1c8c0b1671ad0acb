/**
 * Eligibility is checked before assignment: a request that may not use every arm's Variant is not in the Experiment and
 * gets the default Variant. If all Variants have the same rules, no check is needed.
 */
import type { AccessTable, ExperimentTable, PolicyTable } from "../../plan/compiledPlan.js";
import { isOpen, judgesVariant, namesCaller } from "./accessTable.js";

/** Why eligibility matters: the result of this policy can differ between Variants of one Experiment. */
export interface VariantDifference {
	/** Qualified name. */
	readonly policy: string;
	/** The Variants of the Experiment's arms. */
	readonly variants: readonly string[];
}

/** The same, with the Experiment. */
export interface Eligibility extends VariantDifference {
	/** Qualified name. */
	readonly experiment: string;
}

/**
 * The Variants that a request must be allowed to use: of all arms with a weight, live or not, so that neither a ramp nor
 * a closed arm changes eligibility; and of a takeover's winner, which serves other arms' units.
 */
export function armVariants({ arms, takeover }: Pick<ExperimentTable, "arms" | "takeover">): readonly string[] {
	const weighted = arms.filter(({ loPpm, hiPpm }) => hiPpm > loPpm).map(({ variant }) => variant);
	return [...new Set(takeover === null ? weighted : [...weighted, takeover.variant])];
}

/**
 * The first enforced policy whose result can differ between these Variants, or between them and the default one.
 * null = none: a refused request is refused for every assignment, so eligibility need not be checked first.
 */
export function policyThatDiffers(
	access: AccessTable,
	variants: readonly string[],
	defaultVariant: string,
): VariantDifference | null {
	if (isOpen(access)) return null;
	const found = access.policies.find((policy) => !policy.shadow && differsByVariant(policy, variants, defaultVariant));
	return found === undefined ? null : { policy: found.name, variants };
}

function differsByVariant(policy: PolicyTable, arms: readonly string[], defaultVariant: string): boolean {
	const { variants, action } = policy;
	const deny = action === "deny";
	if (!judgesVariant(policy) || (!deny && !namesCaller(policy))) return false;
	const named = (variant: string): boolean => variants.length === 0 || variants.includes(variant);
	const count = arms.filter(named).length;
	if (count > 0 && count < arms.length) return true;
	// A CEL condition that reads the Variant may differ between any two Variants that the policy covers.
	const all = new Set([...arms, defaultVariant]);
	if ([...all].filter(named).length > 1 && judgesVariant({ ...policy, variants: [] })) return true;
	// The same for all arms: it matters only if the default Variant escapes the deny, or alone gets the allow.
	return deny ? count > 0 && !named(defaultVariant) : count === 0 && named(defaultVariant);
}
