/**
 * The test of a holdback: only the winner, from units first exposed after the holdback began.
 *
 * Before the holdback, units are split by the arms' weights; in it the baseline has a small share. A comparison over both times
 * would mix them in a different ratio for each arm, so a drift of the outcomes, equal in both arms, would bias it (Simpson).
 * Within the holdback the ratio is constant. It begins at a stopping time, so given the past it is a valid test; its share of
 * alpha and what was spent before add up to alpha.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { PPM } from "../../limits/index.js";
import { type Levels, levels, NO_ERA } from "./claim.js";

export interface HeldBack {
	/** Only units first exposed later count. */
	readonly fromMs: number;
	/** Share of the baseline's live points. */
	readonly sharePpm: number;
}

/** Changes to the input of analyse() for a holdback. */
export interface HoldbackQuestions {
	/** With weights as the ratio of the arms' units. */
	readonly experiment: Experiment;
	/** Without covariates: units of the takeover had the arm's version before their first exposure. */
	readonly metrics: Readonly<Record<string, Metric>>;
	/** Thresholds are not frozen again in a holdback, so one freezing has the whole level. */
	readonly thresholds: Readonly<Record<string, unknown>>;
	readonly levels: Levels;
}

export function holdbackQuestions(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	thresholds: Readonly<Record<string, unknown>>,
	{ sharePpm }: Pick<HeldBack, "sharePpm">,
): HoldbackQuestions {
	const arms = experiment.spec.arms.map((arm) => ({
		...arm,
		weight: arm.weight * (arm.baseline ? sharePpm : PPM),
	}));
	return {
		experiment: { ...experiment, spec: { ...experiment.spec, arms } },
		metrics: Object.fromEntries(
			Object.entries(metrics).map(([name, metric]) => [
				name,
				{ ...metric, spec: { ...metric.spec, covariateMs: null } },
			]),
		),
		thresholds: Object.fromEntries(
			Object.entries(thresholds).map(([name, one]) => [
				name,
				typeof one === "object" && one !== null && "era" in one ? { ...one, era: NO_ERA } : one,
			]),
		),
		levels: levels(experiment, "in a holdback"),
	};
}
