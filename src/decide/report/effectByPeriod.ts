/**
 * The goal's effect on the people of each period by themselves: an effect that comes of being new fades here. The bounds
 * of one period are as wide as its few people make them, and those of many periods do not hold together.
 */
import { claims } from "../../infer/statistics/claim.js";
import { compare } from "../../infer/statistics/comparison.js";
import { type EffectOverTime, effectOverTime } from "../../infer/statistics/effectOverTime.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import type { SlowRequests } from "../../infer/statistics/finding.js";
import { baselineOf, isMeasured, isRelative, lineOf, questionOf } from "../../infer/statistics/question.js";
import { questionsOf, type ReportInput } from "./reportInput.js";

export interface PeriodEffect {
	readonly fromMs: number;
	readonly toMs: number;
	readonly improvement: number | null;
	readonly lower: number;
	readonly upper: number;
}

export interface EffectByPeriod {
	readonly arm: string;
	readonly metric: string;
	readonly line: number;
	readonly relative: boolean;
	/** As of the claim's finding. */
	readonly slow?: SlowRequests;
	/** Those that can be measured. */
	readonly periods: readonly PeriodEffect[];
	/** First half of the people against the second; null: too few. */
	readonly halves: EffectOverTime | null;
}

/** The goal's effects, one entry for each challenger. */
export function effectsByPeriod(input: ReportInput, evidence: Evidence): readonly EffectByPeriod[] {
	const { experiment, metrics, thresholds, levels } = questionsOf(input);
	const { pass, harm } = levels;
	const baseline = baselineOf(experiment);
	return claims(experiment, metrics, thresholds).flatMap((claim): EffectByPeriod[] => {
		const { metric, metricName, arm, role } = claim;
		if (role !== "goal" || metric === null) return [];
		const question = questionOf(claim, metric, experiment, pass, harm);
		const periods = evidence.periods.flatMap(({ fromMs, toMs, arms }): PeriodEffect[] => {
			const of = (name: string) => arms.find((entry) => entry.arm === name)?.metrics[metricName];
			const [t, c] = [of(arm), of(baseline)];
			if (t === undefined || c === undefined || t.n === 0 || c.n === 0) return [];
			const measured = compare(question, t, c);
			if (!isMeasured(measured)) return [];
			const { improvement, lower, upper } = measured;
			return [{ fromMs, toMs, improvement, lower, upper }];
		});
		return [
			{
				...{ arm, metric: metricName, periods },
				...(claim.slow === null ? {} : { slow: claim.slow }),
				line: lineOf(claim, metric),
				relative: isRelative({ metric, effect: claim.effect }),
				halves: effectOverTime(question, { metric: metricName, arm, baseline }, evidence.periods),
			},
		];
	});
}
