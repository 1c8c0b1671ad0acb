/**
 * Freezes the latency threshold of a quantile, or the cap of a winsorised mean, from data before now. Only units first
 * exposed from now on are measured by it.
 */

import type { Metric } from "../../../declare/resources/resource.js";
import {
	claimedMetrics,
	latencyThresholdMs,
	requestsToFreeze,
	valuesToFreeze,
} from "../../../infer/statistics/claim.js";
import type { BaselineQuantile } from "../../../infer/statistics/evidence.js";
import type { DecisionInput } from "../decision.js";
import { outcomeOf, type RuleFunction } from "../outcome.js";
import { number } from "../sentence.js";
import type { FrozenThreshold } from "../status.js";
import { called } from "../summary.js";

export const freezeThreshold: RuleFunction = (input, analysis) => {
	const { experiment, metrics, status } = input;
	const thresholds = { ...status.thresholds };
	const reasons: string[] = [];
	const summaries: string[] = [];
	for (const name of claimedMetrics(experiment)) {
		const metric = metrics[name];
		if (metric === undefined || thresholds[name] !== undefined) continue;
		const found = frozen(input, name, metric);
		if (found === null) continue;
		thresholds[name] = found.threshold;
		reasons.push(found.reason);
		summaries.push(found.summary);
	}
	if (reasons.length === 0) return null;
	return outcomeOf(
		input,
		analysis,
		["freeze-threshold", "freeze-threshold"],
		{ reason: `Frozen ${reasons.join("; ")}.`, summary: `From now on ${summaries.join(", and ")}.` },
		{ status: { ...status, thresholds } },
	);
};

/** The quantile that must be frozen before the metric can be measured; null = none. */
export function quantileToFreeze({ spec }: Metric): number | null {
	if (spec.type === "quantile") return spec.quantile;
	return spec.cap !== null && "quantile" in spec.cap ? spec.cap.quantile : null;
}

/** Minimum of requests or values of the default Variant; minUnits distinct units are needed too. */
export function neededToFreeze(metric: Metric): number {
	const quantile = quantileToFreeze(metric) ?? 0.5;
	return metric.spec.type === "quantile" ? requestsToFreeze(quantile) : valuesToFreeze(quantile);
}

interface Frozen {
	readonly threshold: FrozenThreshold;
	readonly reason: string;
	readonly summary: string;
}

function frozen(input: DecisionInput, name: string, metric: Metric): Frozen | null {
	const { experiment, baselineQuantiles, nowMs, status } = input;
	const quantile = quantileToFreeze(metric);
	const measured = baselineQuantiles?.[name];
	if (quantile === null || measured === undefined || !isDuration(metric, measured.valueMs)) return null;
	const refreeze = status.refreezes?.[name];
	const era = refreeze?.era ?? 1;
	const { minUnits } = experiment.spec.rollout;
	if (!(measured.requests >= neededToFreeze(metric) && measured.units >= minUnits)) return null;
	const { valueMs, standardErrorMs, requests, units } = measured;
	const known = standardErrorMs === undefined ? "" : `, standard error ${number(standardErrorMs)} ms`;
	const of = `the baseline's quantile ${quantile} was ${number(valueMs)}`;
	if (metric.spec.type === "quantile") {
		const thresholdMs = latencyThresholdMs(experiment, name, valueMs);
		const own = { referenceMs: valueMs, era, ...gridOf(measured) };
		const again =
			refreeze === undefined
				? ""
				: refreeze.because === "declaration"
					? "again, the declaration had changed; "
					: `again, the baseline moved from ${number(refreeze.formerMs)} ms to ${number(valueMs)} ms; `;
		const inBaseline = `, in the baseline slower than ${number(valueMs)} ms`;
		return {
			threshold: { thresholdMs, ...own, frozenAtMs: nowMs, sampleSize: requests },
			reason: `${again}${name}: slower than ${number(thresholdMs)} ms counts as slow${inBaseline} (${of} ms over ${requests} requests of ${units} units${known})`,
			summary: `a request slower than ${number(thresholdMs)} ms counts as slow for ${called(name, metric)}`,
		};
	}
	return {
		threshold: { thresholdMs: valueMs, frozenAtMs: nowMs, sampleSize: requests },
		reason: `${name}: values above ${number(valueMs)} count as it (${of} over ${requests} values of ${units} units)`,
		summary: `values of ${name} above ${number(valueMs)} count as ${number(valueMs)}`,
	};
}

/** Empty if no grid was measured. */
function gridOf({ others }: BaselineQuantile): { readonly gridMs?: readonly number[] } {
	return others?.every((ms) => Number.isFinite(ms) && ms >= 0) === true ? { gridMs: others } : {};
}

/** A latency must not be negative; a value may be any finite number. */
function isDuration({ spec }: Metric, ms: number): boolean {
	return Number.isFinite(ms) && (spec.type !== "quantile" || ms >= 0);
}
