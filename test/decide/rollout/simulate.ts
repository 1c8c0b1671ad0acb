/** Simulates Experiments: users send 1 to 3 requests, are exposed by the live allocation, and decide() runs at every look. */

import { decide } from "../../../src/decide/rollout/decide.js";
import { type Outcome, RULES } from "../../../src/decide/rollout/decision.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { ArmEvidence, ExposureBatch, Moments } from "../../../src/infer/statistics/evidence.js";
import { random } from "../../infer/statistics/random.js";
import { experiment, METRICS, NOTHING_BESIDE, ROLLOUT } from "./example.js";

export interface Truth {
	readonly accuracy: number;
	readonly slow: number;
	readonly errors: number;
}

interface Running {
	n: number;
	mean: number;
	m2: number;
}

function add(moments: Running, value: number): void {
	moments.n += 1;
	const delta = value - moments.mean;
	moments.mean += delta / moments.n;
	moments.m2 += delta * (value - moments.mean);
}

/** A challenger like the baseline: hardly any request lies above its own threshold, twice the baseline's p99. */
export const PLAIN: Truth = { accuracy: 0.78, slow: 0.0005, errors: 0 };
const BASELINE: Truth = { ...PLAIN, slow: 0.01 };
const LOOK_MS = 1_000;

/** One experiment with `perLook` new people a second; the outcomes that changed something, in order. */
export function simulate(seed: number, challenger: Truth, perLook: number, looks: number): readonly Outcome[] {
	const next = random(seed);
	const plan = experiment();
	let status: ExperimentStatus = {
		...initialStatus(ROLLOUT.stepsPpm, 0),
		thresholds: { "latency-p99": { thresholdMs: 40, referenceMs: 20, frozenAtMs: 0, sampleSize: 900, era: 1 } },
	};
	const fresh = (): Record<keyof Truth, Running> => ({
		accuracy: { n: 0, mean: 0, m2: 0 },
		slow: { n: 0, mean: 0, m2: 0 },
		errors: { n: 0, mean: 0, m2: 0 },
	});
	const sums = { control: fresh(), boosted: fresh() };
	const exposures: {
		planVersion: string;
		firstMs: number;
		counts: Record<string, number>;
		livePoints: Record<string, number>;
	}[] = [];
	const outcomes: Outcome[] = [];
	for (let look = 1; look <= looks; look++) {
		const nowMs = look * LOOK_MS;
		const share = status.allocationPpm / 1_000_000;
		const planVersion = `p${status.allocationPpm}`;
		let batch = exposures.find((entry) => entry.planVersion === planVersion);
		if (batch === undefined) {
			const live = status.allocationPpm / 2;
			batch = {
				planVersion,
				firstMs: nowMs - LOOK_MS,
				counts: { control: 0, boosted: 0 },
				livePoints: { control: live, boosted: live },
			};
			exposures.push(batch);
		}
		for (let person = 0; person < perLook; person++) {
			if (next() >= share) continue;
			const arm = next() < 0.5 ? "control" : "boosted";
			const truth = arm === "control" ? BASELINE : challenger;
			batch.counts[arm] = (batch.counts[arm] ?? 0) + 1;
			const requests = 1 + Math.floor(next() * 3);
			// A person's label is the same for all requests; slowness and errors come by request.
			add(sums[arm].accuracy, next() < truth.accuracy ? 1 : 0);
			for (const kind of ["slow", "errors"] as const) {
				let bad = 0;
				for (let request = 0; request < requests; request++) bad += next() < truth[kind] ? 1 : 0;
				add(sums[arm][kind], bad / requests);
			}
		}
		const moments = ({ n, mean, m2 }: Running): Moments => ({ n, mean, m2 });
		const arms = (["control", "boosted"] as const).map((arm): ArmEvidence => {
			const { accuracy, slow, errors } = sums[arm];
			return {
				arm,
				exposedUnits: accuracy.n,
				maturedUnits: accuracy.n,
				metrics: { accuracy: moments(accuracy), "latency-p99": moments(slow), "error-rate": moments(errors) },
				missingUnits: {},
			};
		});
		const input = {
			rules: RULES,
			experiment: plan,
			metrics: METRICS,
			status,
			evidence: {
				experiment: "main",
				asOfMs: nowMs,
				arms,
				exposures: structuredClone(exposures) as ExposureBatch[],
				...NOTHING_BESIDE,
				health: [{ variant: "v2", requests: 100, failures: 0 }],
			},
			nowMs,
		};
		const outcome = decide(input);
		if (outcome.action !== "hold") outcomes.push(outcome);
		if (outcome.action === "promote") {
			const decision = {
				experiment: "main",
				sequence: 1,
				atMs: nowMs,
				by: "weir",
				input,
				outcome,
				acknowledgedAtMs: null,
			};
			if (!recompute(JSON.parse(JSON.stringify(decision)))?.matches) throw new Error("a promotion does not recompute");
		}
		status = outcome.status;
		if (status.phase !== "Running" && status.phase !== "Promoting") break;
	}
	return outcomes;
}

/** How many of `runs` experiments between equal variants were promoted, rolled back for harm, or stopped by SRM. */
export function equalVariants(runs: number): { promoted: number; harmed: number; stopped: number } {
	const result = { promoted: 0, harmed: 0, stopped: 0 };
	for (let seed = 0; seed < runs; seed++) {
		const outcomes = simulate(10_000 + seed, PLAIN, 80, 60);
		if (outcomes.some(({ action }) => action === "promote")) result.promoted++;
		if (outcomes.some(({ rule }) => rule === "harm")) result.harmed++;
		if (outcomes.some(({ rule }) => rule === "srm")) result.stopped++;
	}
	return result;
}
