/**
 * All running experiments looked at together: which goals are proved if only so many of the proved may be wrong. Each
 * experiment alone errs with its own alpha, so of a hundred that do nothing five would look proved; a person who reads
 * down the list of all sees the five. e-BH answers for the list, under whatever dependence (the same people are in many
 * of them) and however often it is read. It changes no decision and no experiment's alpha.
 */
import { logSumExp } from "../analysis/distributions/logSumExp.js";
import { discoveries } from "../analysis/multiplicity/eValues.js";
import type { Finding } from "./decision.js";

/** Of the goals called proved, at most this share is wrong, on average. */
export const FLEET_FALSE_SHARE = 0.05;

/**
 * ln of the e-value for "some challenger improves the goal by more than its line": the mean over all declared challengers
 * with equal weights. Which of them are still tested depends on the data (an arm was closed, a claim cannot be told), so
 * each that is not counts as 0, which is what is left of an e-value where nothing is said. null without a goal that was tested.
 *
 * A finding's e-value of a quantile is of the shares above the frozen thresholds, and the goal is proved only where those around
 * them are too (analysis/quantileGrid.ts). So it counts by its verdict: proved at a level is an e-value of 1 ÷ the level,
 * also over all eras that share it, and anything else is 0. Nor is it known of a proof by planned looks.
 * @param quantileAlpha where the goal is on a quantile, the experiment's alpha; null = it is not
 */
export function goalLogE(
	findings: readonly Finding[],
	challengers: number,
	quantileAlpha: number | null = null,
): number | null {
	const goals = findings.filter(({ role, segment }) => role === "goal" && segment === undefined);
	const tested =
		quantileAlpha === null
			? goals.flatMap(({ logE }) => (logE === undefined || logE === null ? [] : [logE]))
			: goals.flatMap(({ verdict, look }) =>
					verdict === "pass" && look === undefined ? [Math.log(challengers / quantileAlpha)] : [],
				);
	return tested.length === 0 ? null : logSumExp(tested) - Math.log(Math.max(challengers, tested.length));
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
