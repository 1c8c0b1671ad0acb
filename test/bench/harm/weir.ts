/** Weir's rule in the harm benchmark: decide() on aggregates, minute by minute, with the margins of the peers. */

import { decide } from "../../../src/decide/rollout/decide.js";
import { type Action, RULES } from "../../../src/decide/rollout/decision.js";
import { type ExperimentStatus, type FrozenThreshold, initialStatus } from "../../../src/decide/rollout/status.js";
import type { Experiment, Metric } from "../../../src/declare/resources/resource.js";
import { normalIsf } from "../../../src/infer/statistics/distributions/normal.js";
import type {
	ArmEvidence,
	Evidence,
	ExposureBatch,
	MetricEvidence,
	SegmentEvidence,
} from "../../../src/infer/statistics/evidence.js";
import { CENTRE, gridQuantiles } from "../../../src/infer/statistics/quantileGrid.js";
import { type Moments, NO_MOMENTS } from "../../../src/infer/statistics/statistics/moments.js";
import { experiment, metric, ROLLOUT } from "../../decide/rollout/example.js";
import { addValue } from "../../infer/statistics/formulas.js";
import { MARGINS } from "./peers.js";
import {
	type Fault,
	LATENCY_MS,
	LATENCY_SIGMA,
	MINUTES,
	PEOPLE_PER_MINUTE,
	type Person,
	SEGMENTS,
	STEP_MINUTES,
	STEPS,
	World,
} from "./world.js";

const MINUTE_MS = 60_000;
const METRIC_NAMES = ["accuracy", "latency", "error-rate"] as const;
type Name = (typeof METRIC_NAMES)[number];

const METRICS: Readonly<Record<Name, Metric>> = {
	accuracy: metric("accuracy", { windowMs: MINUTE_MS }),
	latency: metric("latency", {
		type: "quantile",
		quantile: 0.5,
		source: "latency",
		direction: "down",
		windowMs: MINUTE_MS,
	}),
	"error-rate": metric("error-rate", { source: "errors", direction: "down", windowMs: MINUTE_MS }),
};

/** The baseline's units per unit of the challenger: evidence about the baseline harms no user. */
const BASELINE_WEIGHT = 3;

export const EXPERIMENT: Experiment = experiment(["boosted"], {
	arms: [
		{ name: "control", variant: "v1", weight: BASELINE_WEIGHT, baseline: true, parameters: {} },
		{ name: "boosted", variant: "v2", weight: 1, baseline: false, parameters: {} },
	],
	goal: { metric: "accuracy", improveBy: { kind: "absolute", value: 0 } },
	guardrails: [
		{ metric: "latency", margin: { kind: "relative", value: MARGINS.latencyMs } },
		{ metric: "error-rate", margin: { kind: "absolute", value: MARGINS.errors } },
	],
	segments: [{ name: "region", header: "x-region" }],
	rollout: {
		...ROLLOUT,
		stepsPpm: STEPS.map((share) => (1 + BASELINE_WEIGHT) * 1_000_000 * share),
		everyMs: STEP_MINUTES * MINUTE_MS,
		minUnits: 100,
		maxDurationMs: null,
	},
});

type Sums = Record<Name, Moments> & { readonly slow: number[] };
const noSums = (): Sums => ({ accuracy: NO_MOMENTS, latency: NO_MOMENTS, "error-rate": NO_MOMENTS, slow: [] });

/** Frozen from a healthy service, as the peers' fixed thresholds are. */
const GRID_MS = gridQuantiles(0.5).map((q) => LATENCY_MS * Math.exp(LATENCY_SIGMA * normalIsf(1 - q)));
const MEDIAN: FrozenThreshold = {
	referenceMs: LATENCY_MS,
	thresholdMs: LATENCY_MS * (1 + MARGINS.latencyMs),
	frozenAtMs: 0,
	sampleSize: 1_000,
	era: 1,
	gridMs: GRID_MS,
};
const LIMITS_MS = {
	control: GRID_MS,
	boosted: GRID_MS.map((ms) => ms * (1 + MARGINS.latencyMs)),
};

function enter(sums: Sums, limitsMs: readonly number[], { right, failed, requests, latencies }: Person): void {
	sums.accuracy = addValue(sums.accuracy, right);
	sums["error-rate"] = addValue(sums["error-rate"], failed / requests);
	const above = limitsMs.map((limit) => latencies.filter((ms) => ms > limit).length / requests);
	sums.latency = addValue(sums.latency, above[CENTRE] ?? 0);
	for (const [index, share] of above.entries()) sums.slow[index] = (sums.slow[index] ?? 0) + share;
}

/** A metric without data is absent. */
function metricsOf({ slow, ...moments }: Sums): Readonly<Partial<Record<Name, MetricEvidence>>> {
	if (moments.latency.n === 0) return {};
	return { ...moments, latency: { ...moments.latency, slow: slow.map((sum) => sum / moments.latency.n) } };
}

type Batch = ExposureBatch & { readonly counts: Record<"control" | "boosted", number> };

/** All people so far, by arm. */
class Arms {
	readonly #whole = { control: noSums(), boosted: noSums() };
	readonly #segments = Array.from({ length: SEGMENTS }, () => ({ control: noSums(), boosted: noSums() }));
	readonly #order: number[] = [];
	/** One plan for each allocation, as they are published. */
	readonly #batches: Batch[] = [];

	publish(allocationPpm: number, firstMs: number): void {
		const planVersion = `p${allocationPpm}`;
		if (this.#batches.at(-1)?.planVersion === planVersion) return;
		const boosted = allocationPpm / (1 + BASELINE_WEIGHT);
		const livePoints = { control: BASELINE_WEIGHT * boosted, boosted };
		this.#batches.push({ planVersion, firstMs, counts: { control: 0, boosted: 0 }, livePoints });
	}

	enter(arm: "control" | "boosted", person: Person): void {
		enter(this.#whole[arm], LIMITS_MS[arm], person);
		const batch = this.#batches.at(-1);
		if (batch !== undefined) batch.counts[arm]++;
		if (!this.#order.includes(person.segment)) this.#order.push(person.segment);
		const own = this.#segments[person.segment];
		if (own !== undefined) enter(own[arm], LIMITS_MS[arm], person);
	}

	evidence(nowMs: number): Evidence {
		const arm = (name: "control" | "boosted"): ArmEvidence => {
			const { n } = this.#whole[name].accuracy;
			return {
				arm: name,
				exposedUnits: n,
				maturedUnits: n,
				metrics: metricsOf(this.#whole[name]),
				missingUnits: {},
			};
		};
		return {
			experiment: "main",
			asOfMs: nowMs,
			arms: [arm("control"), arm("boosted")],
			exposures: this.#batches,
			conflictingUnits: 0,
			health: [],
			droppedEntries: 0,
			forcedUnits: 0,
			segments: this.#order.map(
				(segment, rank): SegmentEvidence => ({
					segment: "region",
					value: `region-${segment}`,
					rank,
					arms: (["control", "boosted"] as const).map((name) => ({
						arm: name,
						metrics: metricsOf(this.#segments[segment]?.[name] ?? noSums()),
					})),
				}),
			),
			periods: [],
			interactions: [],
			newestOutcomeMs: { accuracy: nowMs },
		};
	}
}

/** The minute at whose end it rolled back, or null; and the challenger's people until then. */
export interface Ended {
	readonly minute: number | null;
	readonly exposed: number;
}

export function runWeir(seed: number, fault: Fault): Ended {
	const world = new World(seed, fault);
	const arms = new Arms();
	let status: ExperimentStatus = {
		...initialStatus(EXPERIMENT.spec.rollout.stepsPpm, 0),
		thresholds: { latency: MEDIAN },
	};
	let exposed = 0;
	for (let minute = 0; minute < MINUTES; minute++) {
		const inChallenger = Math.round((PEOPLE_PER_MINUTE * status.allocationPpm) / 1_000_000 / (1 + BASELINE_WEIGHT));
		arms.publish(status.allocationPpm, minute * MINUTE_MS);
		for (let person = 0; person < inChallenger; person++) arms.enter("boosted", world.person(minute, true));
		for (let person = 0; person < BASELINE_WEIGHT * inChallenger; person++)
			arms.enter("control", world.person(minute, false));
		exposed += inChallenger;
		const nowMs = (minute + 1) * MINUTE_MS;
		const outcome = decide({
			experiment: EXPERIMENT,
			metrics: METRICS,
			status,
			evidence: arms.evidence(nowMs),
			nowMs,
			rules: RULES,
		});
		// Inconsistent data would cause holds by the harness and not by the rule.
		if (outcome.waitsFor === "data") throw new RangeError(outcome.reason);
		if (ENDS.includes(outcome.action)) return { minute, exposed };
		status = outcome.status;
	}
	return { minute: null, exposed };
}

const ENDS: readonly Action[] = ["roll-back"];
