/**
 * A holdback as a test of its own: of the winner alone, from units first exposed after a share of the baseline was held
 * back.
 *
 * Before it the arms came by their weights, in it the baseline by a small part of its own. Of everybody together, each arm
 * would be a mixture of both times in another ratio: where the outcomes' level has moved meanwhile, alike in both arms, a
 * better winner looks worse, and a worse one no worse (Simpson). From its beginning on the ratio is one again. It begins at
 * a stopping time, so that given the past it is a test like any other; what was spent before and its own part of alpha add
 * up to alpha.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { PPM } from "../../limits/index.js";
import { type Levels, levels, WHOLE_LEVEL } from "./claim.js";

export interface HeldBack {
	/** Only units first exposed later count. */
	readonly fromMs: number;
	/** Of the baseline's live points. */
	readonly sharePpm: number;
}

/** Of an input of analyse(), what a holdback asks otherwise. */
export interface HoldbackQuestions {
	/** With the arms' weights in the ratio in which their units come. */
	readonly experiment: Experiment;
	/** Without covariates: who came first during the takeover was on the version of the arm before, and not yet exposed to it. */
	readonly metrics: Readonly<Record<string, Metric>>;
	/** Frozen before it, and not again in it: the whole of its level is this one freezing's. */
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
				typeof one === "object" && one !== null && "era" in one ? { ...one, era: WHOLE_LEVEL } : one,
			]),
		),
		levels: levels(experiment, "in a holdback"),
	};
}
