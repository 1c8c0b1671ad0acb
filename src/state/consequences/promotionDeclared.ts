/**
 * Experiments that Weir may promote by itself, which are those with a goal (rollout/rules/promotion.ts): one without waits for
 * `weir promote`. Who declares it says what it is judged by, who posts that, and how sure is sure. So where an ApprovalPolicy
 * covers promotions the declaration is the promotion, in advance: it takes that right and waits, and who approves it approves
 * what its rules will do. Later there is no other way to a goal: one that runs gets none and keeps its Metrics
 * (resources/change.ts; promotionEased.ts for what makes its promotion easier), and one that has ended starts no more. Pure.
 */

import { metricsJudging } from "../../resources/judgedBy.js";
import { serviceOf } from "../../resources/lookup.js";
import { type Experiment, qualifiedName, type Resource, type ResourceSet } from "../../resources/resource.js";
import { promotionsWait } from "../approvals/approval.js";
import { resourceKey } from "../store/resourceSet.js";
import type { PromotedByHand } from "./promotedByHand.js";

export interface PromotionDeclared extends PromotedByHand {
	/** Keys of the Metrics that its rules look at: declared otherwise, they are not what was approved. */
	readonly judgedBy: readonly string[];
}

/**
 * @param given what is declared, with these
 * @param started Experiments that were not there before
 */
export function promotionsDeclared(
	{ approvalPolicies, metrics }: Pick<ResourceSet, "approvalPolicies" | "metrics">,
	given: readonly Resource[],
	started: readonly Experiment[],
): readonly PromotionDeclared[] {
	const beforeAndAfter = [...metrics, ...given.filter((one) => one.kind === "Metric")];
	return started.flatMap((one): PromotionDeclared[] => {
		const { goal, arms } = one.spec;
		const { name, namespace } = one.metadata;
		if (goal === null || !promotionsWait(approvalPolicies, namespace)) return [];
		const challengers = arms.filter(({ baseline }) => !baseline).map((arm) => arm.name);
		return [
			{
				namespace,
				effect: `lets Experiment ${qualifiedName({ name, namespace })} promote arm ${challengers.join(" or ")} to everybody of Service ${serviceOf(one)} by its own rules: goal ${goal.metric}`,
				passesGates: false,
				judgedBy: metricsJudging(one, beforeAndAfter).map((metric) => resourceKey("Metric", metric)),
			},
		];
	});
}
