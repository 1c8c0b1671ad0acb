/**
 * Controls the false discovery rate over all running experiments with e-BH: of a hundred experiments without an effect, five
 * would look proved at alpha 0.05. Valid under any dependence (the same people are in many experiments) and at any time. It
 * changes no decision and no experiment's alpha.
 */
import { claims } from "../../infer/statistics/claim.js";
import { logSumExp } from "../../infer/statistics/distributions/logSumExp.js";
import type { MetricEvidence } from "../../infer/statistics/evidence.js";
import { eraShare } from "../../infer/statistics/frozenReference.js";
import { discoveries } from "../../infer/statistics/multiplicity/eValues.js";
import { type GridSample, logQuantileInside, problemOfGrid } from "../../infer/statistics/quantileGrid.js";
import { baselineOf, sharesOf } from "../../infer/statistics/question.js";
import { NO_MOMENTS } from "../../infer/statistics/statistics/moments.js";
import type { Decision, DecisionInput, Finding } from "./decision.js";

/** Expected share of false discoveries among the proved goals, at most. */
export const FLEET_FALSE_SHARE = 0.05;

/**
 * ln of the e-value for "some challenger improves the goal by more than its line", from one decision; null = no goal was
 * tested.
 */
export function goalLogE({ input, outcome }: Pick<Decision, "input" | "outcome">): number | null {
	if (input === null) return null;
	const { arms, goal } = input.experiment.spec;
	const quantile = goal === null ? null : (input.metrics[goal.metric]?.spec.quantile ?? null);
	return meanLogE(
		outcome.findings
			.filter(({ role, segment }) => role === "goal" && segment === undefined)
			.map((finding) => (quantile === null ? (finding.logE ?? null) : quantileLogE(input, finding, quantile))),
		arms.filter(({ baseline }) => !baseline).length,
	);
}

/**
 * The mean over all declared challengers with equal weights. Which of them are still tested depends on the data, so an
 * untested one (a closed arm, an unknown claim) counts as 0.
 */
export function meanLogE(logEs: readonly (number | null)[], challengers: number): number | null {
	const tested = logEs.filter((logE) => logE !== null);
	return tested.length === 0 ? null : logSumExp(tested) - Math.log(Math.max(challengers, tested.length));
}

/**
 * A goal on a quantile is proved if the shares at the frozen thresholds and every cell of the grid are. So the smallest of
 * their e-values is an e-value (intersection–union). Each era of the thresholds starts at 1, and the current era depends on
 * the data: its e-value is weighted with the era's share of the level, and all other eras count as 0. null = the thresholds
 * have no grid.
 */
function quantileLogE({ experiment, metrics, evidence, status }: DecisionInput, finding: Finding, quantile: number) {
	const { logE = null, arm, metric } = finding;
	const claim = claims(experiment, metrics, status.thresholds).find((one) => one.arm === arm && one.role === "goal");
	if (logE === null || claim?.reference == null) return null;
	const of = (name: string): GridSample => {
		const {
			n,
			mean,
			slow = [],
		}: MetricEvidence = evidence.arms.find((one) => one.arm === name)?.metrics[metric] ?? NO_MOMENTS;
		return { n, slow: problemOfGrid(slow, mean) === "" ? slow : [] };
	};
	const question = { quantile, tolerance: 0, shares: sharesOf(experiment, arm) };
	const inGrid = logQuantileInside(question, of(arm), of(baselineOf(experiment)));
	return inGrid === Number.NEGATIVE_INFINITY ? null : Math.min(logE, inGrid) + Math.log(eraShare(claim.reference.era));
}

export interface FleetMember {
	/** Qualified name. */
	readonly experiment: string;
	/** From goalLogE(); null also counts as a member. */
	readonly logE: number | null;
}

/** Names of the members whose goal is proved, in the given order. */
export function provedTogether(fleet: readonly FleetMember[], falseShare: number = FLEET_FALSE_SHARE): string[] {
	const found = discoveries(
		fleet.map(({ logE }) => logE),
		falseShare,
	);
	return fleet.filter((_, index) => found[index] === true).map(({ experiment }) => experiment);
}
