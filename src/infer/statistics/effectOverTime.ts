/**
 * Novelty: an effect that fades, from a comparison of the early and the late half of the units by first exposure. The halves
 * change with every look, so their bounds are not anytime-valid. The result is a warning and not a proof: it may hold a
 * promotion, but it never changes traffic.
 */
import { compare } from "./comparison.js";
import type { MetricEvidence, PeriodEvidence } from "./evidence.js";
import { isMeasured, lineOf, type Measured, type Question } from "./question.js";
import { mergeCoMoments } from "./statistics/coMoments.js";
import { mergeAllExtremes } from "./statistics/extremes.js";
import { mergeMoments, NO_MOMENTS } from "./statistics/moments.js";

export interface EffectOverTime {
	readonly early: Measured;
	readonly late: Measured;
	/** Start of the late half. */
	readonly lateFromMs: number;
	/** fades: early above the line, late below it. weaker: late below early. steady: neither. */
	readonly trend: "fades" | "weaker" | "steady";
}

/** null = fewer than two periods with data, or a half is too small. */
export function effectOverTime(
	question: Question,
	names: { readonly metric: string; readonly arm: string; readonly baseline: string },
	periods: readonly PeriodEvidence[],
): EffectOverTime | null {
	const unitsOf = (period: PeriodEvidence): number =>
		(metricIn(period, names.arm, names.metric)?.n ?? 0) + (metricIn(period, names.baseline, names.metric)?.n ?? 0);
	const total = periods.reduce((sum, period) => sum + unitsOf(period), 0);
	let seen = 0;
	const split = periods.findIndex((period) => {
		seen += unitsOf(period);
		return seen >= total / 2;
	});
	const lateFromMs = periods[split + 1]?.fromMs;
	if (split === -1 || lateFromMs === undefined) return null;
	const half = (part: readonly PeriodEvidence[]) =>
		compare(question, pooled(part, names.arm, names.metric), pooled(part, names.baseline, names.metric));
	const [early, late] = [half(periods.slice(0, split + 1)), half(periods.slice(split + 1))];
	if (!isMeasured(early) || !isMeasured(late)) return null;
	const line = lineOf(question, question.metric);
	const trend = early.lower > line && late.upper < line ? "fades" : late.upper < early.lower ? "weaker" : "steady";
	return { early, late, lateFromMs, trend };
}

function metricIn({ arms }: PeriodEvidence, arm: string, metric: string): MetricEvidence | undefined {
	return arms.find((entry) => entry.arm === arm)?.metrics[metric];
}

/** The units of several periods together. */
export function pooled(periods: readonly PeriodEvidence[], arm: string, metric: string): MetricEvidence {
	return periods.reduce<MetricEvidence>((sum, period) => {
		const next = metricIn(period, arm, metric);
		if (next === undefined) return sum;
		const { co, extremes } = next;
		return {
			...mergeMoments(sum, next),
			...(co === undefined ? {} : { co: sum.co === undefined ? co : mergeCoMoments(sum.co, co) }),
			...(extremes === undefined ? {} : { extremes: mergeAllExtremes(sum.extremes ?? [], extremes) }),
		};
	}, NO_MOMENTS);
}
