/**
 * Novelty: an effect that fades, read from the units first exposed early against those first exposed late, half each.
 * Bounds of a half are those of its comparison; as the halves move with every look, they do not hold at all looks
 * together: this is a caution, never a proof. It moves nobody: it may hold a promotion, and says so.
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
	/** First exposures from here on are late. */
	readonly lateFromMs: number;
	/** fades: early above the line and late below it. weaker: late surely below early. steady: neither. */
	readonly trend: "fades" | "weaker" | "steady";
}

/** null where there are not two periods with data, or a half is too small to be measured. */
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
