/**
 * Input for plans from an experiment's evidence: the Service's traffic, and mean and variance of a unit's value in the
 * baseline. From the experiment itself while it runs, before that from earlier ones on the same Service.
 */

import { type Experiment, type Metric, qualifiedName } from "../../declare/resources/resource.js";
import { type NewUnitsPerDay, observedCurve } from "../../infer/planning/traffic.js";
import { levelsOf } from "../../infer/statistics/compareMeans.js";
import { difference } from "../../infer/statistics/estimators/contrast.js";
import { isNoEstimate, type Level } from "../../infer/statistics/estimators/estimate.js";
import type { Evidence, MetricEvidence } from "../../infer/statistics/evidence.js";
import { baselineOf } from "../../infer/statistics/question.js";
import { heaviestPull } from "../../infer/statistics/sequential/tails.js";
import { PPM } from "../../limits/index.js";
import type { Decision } from "./decision.js";
import { isExposing } from "./status.js";
import { count } from "./summary.js";

export interface Baseline {
	readonly mean: number;
	/** Variance of one unit's value; null = unknown. */
	readonly variance: number | null;
	/** Distance of the farthest unit's value from the mean; absent = unknown. */
	readonly farthest?: number;
	/** Its source, for display. */
	readonly from: string;
}

export interface Traffic {
	/** New units of the whole Service by day. */
	readonly newUnitsPerDay: NewUnitsPerDay;
	readonly from: string;
}

export interface PlanEvidence {
	/** By metric name. */
	readonly baselines: Readonly<Record<string, Baseline>>;
	readonly traffic: Traffic | null;
}

const DAY_MS = 86_400_000;

/** Earlier entries take precedence. */
export function mergePlanEvidence(sources: readonly PlanEvidence[]): PlanEvidence {
	return {
		baselines: Object.assign({}, ...[...sources].reverse().map(({ baselines }) => baselines)),
		traffic: sources.find(({ traffic }) => traffic !== null)?.traffic ?? null,
	};
}

/** Input for plans from one experiment. @param decisions all of them, oldest first */
export function planEvidenceOf(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	evidence: Evidence,
	decisions: readonly Decision[],
): PlanEvidence {
	const name = qualifiedName(experiment.metadata);
	const own = evidence.arms.find(({ arm }) => arm === baselineOf(experiment));
	const baselines = Object.entries(metrics).flatMap(([metricName, metric]): [string, Baseline][] => {
		const seen = own?.metrics[metricName];
		if (seen === undefined || seen.n < 2) return [];
		const from = `Experiment ${name}, ${count(seen.n)} units`;
		// The baseline against itself: with a covariate this is the variance after adjustment.
		const found = levelsOf({ metric }, seen, seen);
		if (!("note" in found)) {
			const { raw, variance } = found.baseline;
			return [[metricName, { mean: raw.value, variance: variance * seen.n, ...farthestOf(found, seen), from }]];
		}
		return metric.spec.type === "ratio" ? [] : [[metricName, { mean: seen.mean, variance: null, from }]];
	});
	return { baselines: Object.fromEntries(baselines), traffic: trafficOf(experiment, evidence, decisions) };
}

/** Computed from the weight of the heaviest unit in a comparison of the baseline with itself. */
function farthestOf(levels: { challenger: Level; baseline: Level }, seen: MetricEvidence): Pick<Baseline, "farthest"> {
	const estimate = difference(levels.challenger, levels.baseline);
	const pull = isNoEstimate(estimate) ? null : heaviestPull(estimate, seen, seen);
	if (isNoEstimate(estimate) || pull === null || Number.isNaN(pull)) return {};
	return { farthest: pull * Math.sqrt(estimate.variance) * seen.n };
}

function trafficOf(experiment: Experiment, evidence: Evidence, decisions: readonly Decision[]): Traffic | null {
	const startMs = decisions[0]?.atMs;
	const exposed = evidence.arms.reduce((sum, arm) => sum + arm.exposedUnits, 0);
	if (startMs === undefined || exposed === 0) return null;
	const slot = (experiment.spec.layer.slotHiPpm - experiment.spec.layer.slotLoPpm) / PPM;
	const steps: { share: number; startDay: number }[] = [];
	let endMs = evidence.asOfMs;
	for (const { atMs, outcome } of decisions) {
		const { phase, allocationPpm } = outcome.status;
		if (!isExposing(phase)) {
			endMs = Math.min(endMs, atMs);
			break;
		}
		const share = slot * (allocationPpm / PPM);
		// After a step down the units are not new, so their pace does not count.
		if (share > (steps.at(-1)?.share ?? 0)) steps.push({ share, startDay: (atMs - startMs) / DAY_MS });
	}
	const days = (endMs - startMs) / DAY_MS;
	const name = qualifiedName(experiment.metadata);
	if (!(days > 0) || steps.length === 0) return null;
	const until = evidence.periods.map(({ toMs }, index): [number, number] => [
		Math.min(days, Math.max(0, (toMs - startMs) / DAY_MS)),
		evidence.periods
			.slice(0, index + 1)
			.reduce((sum, { arms }) => sum + arms.reduce((all, arm) => all + arm.exposedUnits, 0), 0),
	]);
	const curve = observedCurve(until, steps, days);
	if (curve !== null) return { newUnitsPerDay: curve, from: `Experiment ${name}, ${curve.length} days` };
	const exposedDays = steps.reduce(
		(sum, { share, startDay }, index) => sum + share * ((steps[index + 1]?.startDay ?? days) - startDay),
		0,
	);
	if (!(exposedDays > 0)) return null;
	const hours = Number((days * 24).toPrecision(2));
	return {
		newUnitsPerDay: [exposed / exposedDays],
		from: `Experiment ${name}, ${hours} hours, as if its pace held: too short to see how many come back`,
	};
}
