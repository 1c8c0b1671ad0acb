/** The judge's own eligibility rules (docs/experiments.md), from the declared resources alone; it shares no code with src. */
import type { Subject } from "./declaration.js";

type Taking = Subject["experiments"][number];

/** Experiments that assign units now. */
export const running = ({ experiments }: Pick<Subject, "experiments">): readonly Taking[] =>
	experiments.filter(({ status }) => ["Running", "Paused", "Promoting"].includes(status.phase));

/** Variants that who takes part must be allowed: of all arms with a weight, and the one that is taking over. */
export function armVariants({ experiment, status }: Taking): readonly string[] {
	const winner = status.phase === "Promoting" ? status.promotion?.arm : undefined;
	const { arms } = experiment.spec;
	return arms.filter(({ name, weight }) => weight > 0 || name === winner).map(({ variant }) => variant);
}

/**
 * Whether some policy could let a request use one of these Variants and not another, or none of them and yet the default
 * one. Where none could, the order of eligibility and assignment cannot be observed.
 */
export function tellsArmsApart({ policies, defaultVariant }: Subject, taking: Taking): boolean {
	const arms = armVariants(taking);
	return policies.some(({ spec: { action, variants } }) => {
		if (variants.length === 0) return false;
		const [named, unnamed] = [true, false].map((is) => arms.some((variant) => variants.includes(variant) === is));
		if (named && unnamed) return true;
		const ofDefault = variants.includes(defaultVariant);
		return action === "allow" ? ofDefault && !named : !ofDefault && named === true;
	});
}

/** Whether any Experiment needs eligibility: then the sidecar must assign. */
export const tellsApart = (subject: Subject): boolean => running(subject).some((one) => tellsArmsApart(subject, one));
