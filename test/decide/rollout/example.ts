/** A complete experiment with a rate goal, a p99 guardrail and an error guardrail, and evidence for it. */

import { type DecisionInput, RULES } from "../../../src/decide/rollout/decision.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { Experiment, Metric, Rollout } from "../../../src/declare/resources/resource.js";
import type { ArmEvidence, Evidence, InteractionEvidence, Moments } from "../../../src/infer/statistics/evidence.js";

/** The other fields of sound evidence, beside arms and exposures. */
export const NOTHING_BESIDE = {
	conflictingUnits: 0,
	health: [],
	droppedEntries: 0,
	forcedUnits: 0,
	segments: [],
	periods: [],
	interactions: [],
	newestOutcomeMs: {},
} as const;

const metadata = (name: string) => ({ name, namespace: "default", labels: {}, annotations: {} });

export const ROLLOUT: Rollout = {
	stepsPpm: [200_000, 500_000, 1_000_000],
	everyMs: 3_000,
	minUnits: 200,
	alpha: 0.05,
	maxDurationMs: 600_000,
	onInconclusive: "keep-default",
	onHarm: "roll-back",
	inference: { design: "sequential" },
	holdback: null,
	bandit: null,
	gates: [],
};

export function metric(name: string, spec: Partial<Metric["spec"]>): Metric {
	return {
		kind: "Metric",
		metadata: metadata(name),
		spec: {
			type: "rate",
			source: "outcome",
			direction: "up",
			windowMs: 1_000,
			quantile: null,
			missing: "exclude",
			perUnit: "mean",
			range: null,
			denominator: null,
			cap: null,
			covariateMs: null,
			senders: [],
			...spec,
		},
	};
}

export const METRICS: Readonly<Record<string, Metric>> = {
	accuracy: metric("accuracy", {}),
	"latency-p99": metric("latency-p99", { type: "quantile", source: "latency", direction: "down", quantile: 0.99 }),
	"error-rate": metric("error-rate", { source: "errors", direction: "down" }),
	revenue: metric("revenue", { type: "mean" }),
};

export function experiment(
	challengers: readonly string[] = ["boosted"],
	spec: Partial<Experiment["spec"]> = {},
): Experiment {
	return {
		kind: "Experiment",
		metadata: metadata("main"),
		spec: {
			service: "employment",
			unit: { from: "header", header: "x-user-id" },
			layer: { name: "models", slotLoPpm: 0, slotHiPpm: 1_000_000 },
			salt: null,
			arms: [
				{ name: "control", variant: "v1", weight: 1, baseline: true, parameters: {} },
				...challengers.map((name, index) => ({
					name,
					variant: `v${index + 2}`,
					weight: 1,
					baseline: false,
					parameters: {},
				})),
			],
			goal: { metric: "accuracy", improveBy: { kind: "absolute", value: 0.005 } },
			guardrails: [
				{ metric: "latency-p99", margin: { kind: "relative", value: 1 } },
				{ metric: "error-rate", margin: { kind: "absolute", value: 0.005 } },
			],
			segments: [],
			rollout: ROLLOUT,
			...spec,
		},
	};
}

/** Bernoulli moments: n units of which `share` have value 1. */
export function rate(n: number, share: number): Moments {
	return { n, mean: share, m2: n * share * (1 - share) };
}

type Cell = readonly [units: number, share: number];

/** Interaction evidence: units and accuracies of our arms in each arm of another Experiment. */
export function crossing(cells: Readonly<Record<string, { control: Cell; boosted: Cell }>>): InteractionEvidence {
	return {
		experiment: "team/banner",
		cells: Object.entries(cells).flatMap(([otherArm, own]) =>
			(["control", "boosted"] as const).map((arm) => ({
				arm,
				otherArm,
				units: own[arm][0],
				metrics: { accuracy: rate(own[arm][0], own[arm][1]) },
			})),
		),
	};
}

export interface ArmSpec {
	readonly n: number;
	readonly accuracy?: number;
	readonly slow?: number;
	readonly errors?: number;
	readonly exposed?: number;
}

/** Shares of slow requests above each arm's own threshold: 1 % in the baseline of a p99. */
const SLOW: Readonly<Record<string, number>> = { control: 0.01 };

export function evidence(arms: Readonly<Record<string, ArmSpec>>, extra: Partial<Evidence> = {}): Evidence {
	const entries = Object.entries(arms);
	return {
		experiment: "main",
		asOfMs: 100_000,
		arms: entries.map(
			([arm, { n, accuracy = 0.8, slow = SLOW[arm] ?? 0, errors = 0, exposed = n }]): ArmEvidence => ({
				arm,
				exposedUnits: exposed,
				maturedUnits: n,
				metrics:
					n === 0
						? {}
						: {
								accuracy: rate(n, accuracy),
								"latency-p99": rate(n, slow),
								"error-rate": rate(n, errors),
							},
				missingUnits: {},
			}),
		),
		exposures: [
			{
				planVersion: "p1",
				firstMs: 40_000,
				counts: Object.fromEntries(entries.map(([arm, { n, exposed = n }]) => [arm, exposed])),
				livePoints: Object.fromEntries(entries.map(([arm]) => [arm, 100_000])),
			},
		],
		...NOTHING_BESIDE,
		...extra,
	};
}

export const FROZEN = {
	"latency-p99": { thresholdMs: 40, referenceMs: 20, frozenAtMs: 5_000, sampleSize: 900, era: 1 },
};

/** Running since 0 at a step that began at 95,000, thresholds frozen. */
export function status(change: Partial<ExperimentStatus> = {}): ExperimentStatus {
	return { ...initialStatus(ROLLOUT.stepsPpm, 0), stepStartedAtMs: 95_000, thresholds: FROZEN, ...change };
}

export const LAST_STEP: Partial<ExperimentStatus> = { stepIndex: 2, allocationPpm: 1_000_000 };

export function input(change: Partial<DecisionInput>): DecisionInput {
	return {
		rules: RULES,
		experiment: experiment(),
		metrics: METRICS,
		status: status(),
		evidence: evidence({ control: { n: 0 }, boosted: { n: 0 } }),
		nowMs: 100_000,
		...change,
	};
}
