/**
 * Eligibility comes before assignment: a request that may not use every arm's Variant is outside of the Experiment and
 * gets the default Variant. Where no request can be judged differently between those Variants, nobody need be asked.
 */
import type { AccessTable, ExperimentTable, PolicyTable } from "../../table/plan.js";
import { isOpen, judgesVariant, namesCaller } from "./table.js";

/** What makes eligibility matter: by this policy the Variants of one Experiment are not all alike. */
export interface Apart {
	/** Qualified name. */
	readonly policy: string;
	/** Of the Experiment's arms. */
	readonly variants: readonly string[];
}

/** The same, and the Experiment where it does. */
export interface Eligibility extends Apart {
	/** Qualified name. */
	readonly experiment: string;
}

/**
 * The Variants that a request of the Experiment must be allowed: those of all arms with a weight, live or not, so that
 * neither a ramp nor a closed arm changes who takes part; and of a takeover's winner, who serves other arms' units.
 */
export function armVariants({ arms, takeover }: Pick<ExperimentTable, "arms" | "takeover">): readonly string[] {
	const weighted = arms.filter(({ loPpm, hiPpm }) => hiPpm > loPpm).map(({ variant }) => variant);
	return [...new Set(takeover === null ? weighted : [...weighted, takeover.variant])];
}

/**
 * The first enforced policy by which one request could be allowed under one of these Variants and not under another, or
 * under none of them and under the default one. null = there is none: then who is not eligible is refused wherever it is
 * assigned, and the order of the two cannot be told.
 */
export function judgedApart(access: AccessTable, variants: readonly string[], defaultVariant: string): Apart | null {
	if (isOpen(access)) return null;
	const found = access.policies.find((policy) => !policy.shadow && tells(policy, variants, defaultVariant));
	return found === undefined ? null : { policy: found.name, variants };
}

function tells(policy: PolicyTable, arms: readonly string[], defaultVariant: string): boolean {
	const { variants, action } = policy;
	const deny = action === "deny";
	if (!judgesVariant(policy) || (!deny && !namesCaller(policy))) return false;
	const named = (variant: string): boolean => variants.length === 0 || variants.includes(variant);
	const count = arms.filter(named).length;
	if (count > 0 && count < arms.length) return true;
	// A condition that reads the Variant may say anything of any two that the policy is about.
	const all = new Set([...arms, defaultVariant]);
	if ([...all].filter(named).length > 1 && judgesVariant({ ...policy, variants: [] })) return true;
	// Alike for all arms: it matters where the default Variant may be allowed more. Where less, it is judged as the rest is.
	return deny ? count > 0 && !named(defaultVariant) : count === 0 && named(defaultVariant);
}
