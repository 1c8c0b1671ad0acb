/**
 * All running experiments looked at together: which goals are proved if only so many of the proved may be wrong. Each
 * experiment alone errs with its own alpha, so of a hundred that do nothing five would look proved; a person who reads
 * down the list of all sees the five. e-BH answers for the list, under whatever dependence (the same people are in many
 * of them) and however often it is read. It changes no decision and no experiment's alpha.
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

/** Of the goals called proved, at most this share is wrong, on average. */
export const FLEET_FALSE_SHARE = 0.05;

/**
 * ln of the e-value for "some challenger improves the goal by more than its line", as of one decision; null without a goal that
 * was tested.
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
 * The mean over all declared challengers with equal weights. Which of them are still tested depends on the data (an arm was
 * closed, a claim cannot be told), so each that is not counts as 0, which is what is left of an e-value where nothing is said.
 */
export function meanLogE(logEs: readonly (number | null)[], challengers: number): number | null {
	const tested = logEs.filter((logE) => logE !== null);
	return tested.length === 0 ? null : logSumExp(tested) - Math.log(Math.max(challengers, tested.length));
}

/**
 * A goal on a quantile is proved where the shares at the frozen thresholds are, and every cell of the grid is: it is wrong only
 * where one of these is, so that the least of their e-values is one (intersection–union). Each era of the thresholds begins anew at
 * 1, and which one is the present era depends on the data: so its e-value has the era's part of the level for a weight, and those
 * of all others, ended or to come, count as 0. null by thresholds that have no grid.
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
	/** As goalLogE() says; null counts as one of the fleet all the same. */
	readonly logE: number | null;
}

/** Names of those whose goal is proved among all of them, in the order given. */
export function provedTogether(fleet: readonly FleetMember[], falseShare: number = FLEET_FALSE_SHARE): string[] {
	const found = discoveries(
		fleet.map(({ logE }) => logE),
		falseShare,
	);
	return fleet.filter((_, index) => found[index] === true).map(({ experiment }) => experiment);
}
