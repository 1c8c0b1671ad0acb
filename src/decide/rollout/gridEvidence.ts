/**
 * Splits a quantile's grid of thresholds for the store, whose observations have few variables. Each part is a metric of the
 * store with some thresholds. The first has the metric's name and the quantile itself; the others have a name with a number,
 * which no Metric can have. All parts close together, with the same units.
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

/** The metric in parts, from the baseline's frozen quantiles; without a grid only the metric itself. */
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

/** Whether it is the name of a further part of one of the metrics. */
const isFurtherPart = (name: string, of: ReadonlySet<string>): boolean => {
	const space = name.lastIndexOf(" ");
	return space > 0 && of.has(name.slice(0, space));
};

/** The record without further parts. @param quantiles names of the metrics that may have parts */
export function withoutParts<Value>(
	record: Readonly<Record<string, Value>>,
	quantiles: ReadonlySet<string>,
): Readonly<Record<string, Value>> {
	return Object.fromEntries(Object.entries(record).filter(([name]) => !isFurtherPart(name, quantiles)));
}

/** Merges the parts of each metric: the shares at all thresholds of the grid. */
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

/** Empty if the parts have different units, which is a bug. */
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
