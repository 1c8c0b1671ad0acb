/**
 * A quantile's grid of thresholds as the store is asked for it. An observation has few variables, so the metric is asked for
 * in several parts, each a metric of the store with some of the thresholds; the first has the metric's name and the
 * quantile itself, the others a name with a number, which no Metric can have. They are closed together, from the same units.
 */

import type { Experiment } from "../../declare/resources/resource.js";
import { latencyThresholdMs } from "../../infer/statistics/claim.js";
import type { EvidenceMetric, MetricEvidence } from "../../infer/statistics/evidence.js";
import { CENTRE, GRID_SIZE } from "../../infer/statistics/quantileGrid.js";
import { THRESHOLDS_TOGETHER } from "../../limits/index.js";

/** Indices of the grid's thresholds, part by part. */
const PARTS: readonly (readonly number[])[] = (() => {
	const all = Array.from({ length: GRID_SIZE }, (_, index) => index);
	const order = [CENTRE, ...all.filter((index) => index !== CENTRE)];
	const starts = all.filter((index) => index % THRESHOLDS_TOGETHER === 0);
	return starts.map((start) => order.slice(start, start + THRESHOLDS_TOGETHER));
})();

const nameOf = (metric: string, part: number): string => (part === 0 ? metric : `${metric} ${part + 1}`);

/** The metric in parts, by the baseline's frozen quantiles; itself alone where there is no grid. */
export function inParts(
	asked: EvidenceMetric,
	experiment: Experiment,
	metricName: string,
	gridMs: readonly number[] | undefined,
): readonly EvidenceMetric[] {
	const { threshold } = asked;
	if (threshold === null || threshold === "unfrozen" || gridMs?.length !== GRID_SIZE) return [asked];
	return PARTS.map((indices, part) => {
		const [first = threshold, ...further] = indices.map((index) => {
			const baselineMs = gridMs[index] ?? Number.NaN;
			return { thresholdMs: latencyThresholdMs(experiment, metricName, baselineMs), baselineMs };
		});
		const baselineMs = "baselineMs" in first ? first.baselineMs : threshold.baseline.thresholdMs;
		return {
			...asked,
			name: nameOf(asked.name, part),
			threshold: {
				thresholdMs: first.thresholdMs,
				baseline: { ...threshold.baseline, thresholdMs: baselineMs },
				frozenAtMs: threshold.frozenAtMs,
				further,
			},
		};
	});
}

/** Whether a name is that of a part that is not the first, of one of these metrics. */
const isFurtherPart = (name: string, of: ReadonlySet<string>): boolean => {
	const space = name.lastIndexOf(" ");
	return space > 0 && of.has(name.slice(0, space));
};

/** The record without entries of further parts. @param quantiles names of the metrics that may have them */
export function withoutParts<Value>(
	record: Readonly<Record<string, Value>>,
	quantiles: ReadonlySet<string>,
): Readonly<Record<string, Value>> {
	return Object.fromEntries(Object.entries(record).filter(([name]) => !isFurtherPart(name, quantiles)));
}

/** Metrics with their parts put together: the shares at all thresholds of the grid. */
export function together(
	record: Readonly<Record<string, MetricEvidence>>,
	quantiles: ReadonlySet<string>,
): Readonly<Record<string, MetricEvidence>> {
	const entries = Object.entries(withoutParts(record, quantiles)).map(([name, first]) => {
		if (!quantiles.has(name) || first.co === undefined) return [name, first] as const;
		const { co: _, extremes, ...moments } = first;
		const slow = slowOf(PARTS.map((_part, part) => record[nameOf(name, part)]));
		const [of] = extremes ?? [];
		return [name, { ...moments, ...(of === undefined ? {} : { extremes: [of] }), ...slow }] as const;
	});
	return Object.fromEntries(entries);
}

/** Nothing where parts are of different units, which cannot be. */
function slowOf(parts: readonly (MetricEvidence | undefined)[]): Pick<MetricEvidence, "slow"> {
	const [first] = parts;
	const slow: number[] = [];
	for (const [part, indices] of PARTS.entries()) {
		const found = parts[part];
		if (found?.co === undefined || found.n !== first?.n) return {};
		for (const [variable, index] of indices.entries()) slow[index] = found.co.means[variable] ?? Number.NaN;
	}
	return { slow };
}
