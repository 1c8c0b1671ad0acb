/**
 * All running experiments looked at together: which goals are proved if only so many of the proved may be wrong. Each
 * experiment alone errs with its own alpha, so of a hundred that do nothing five would look proved; a person who reads
 * down the list of all sees the five. e-BH answers for the list, under whatever dependence (the same people are in many
 * of them) and however often it is read. It changes no decision and no experiment's alpha.
 */
import { discoveries, logAverage } from "../analysis/multiplicity/eValues.js";
import type { Finding } from "./decision.js";

/** Of the goals called proved, at most this share is wrong, on average. */
export const FLEET_FALSE_SHARE = 0.05;

/**
 * ln of the e-value for "some challenger improves the goal by more than its line": the mean over challengers (by
 * design equally weighted). null without a goal that was tested.
 */
export function goalLogE(findings: readonly Finding[]): number | null {
	const goals = findings.filter(({ role, segment }) => role === "goal" && segment === undefined);
	const tested = goals.map(({ logE }) => logE ?? null);
	return tested.every((logE) => logE === null) ? null : logAverage(tested);
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
