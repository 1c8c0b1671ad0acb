/**
 * Experiments whose latency guardrail decides: the goal is surely met, so that an arm is promoted when its p90 is proved to
 * be no more than twice the baseline's, whose own times move. Requests are drawn as milliseconds and judged by the
 * thresholds that decide() freezes, gives up and freezes again.
 */
import type { BaselineQuantile, MetricEvidence } from "../../src/analysis/evidence.js";
import { addValue, NO_MOMENTS } from "../../src/analysis/statistics/moments.js";
import { decide } from "../../src/rollout/decide.js";
import { type DecisionInput, type Outcome, RULES } from "../../src/rollout/decision.js";
import { type ExperimentStatus, initialStatus } from "../../src/rollout/status.js";
import { normal, uniforms } from "../calibrate/random.js";
import { experiment, METRICS, metric, NOTHING_BESIDE, ROLLOUT, rate } from "./example.js";

export interface World {
	readonly name: string;
	/** One request's milliseconds, from a standard normal and a uniform number, at a time from 0 (begin) to 1 (end). */
	readonly control: (z: number, u: number, at: number) => number;
	readonly boosted: (z: number, u: number, at: number) => number;
	/** The end that would be a lie. */
	readonly wrong: "promoted" | "harmed";
	/** Whether the other end comes, nearly always: not where the challenger lies just at its margin. */
	readonly ends: boolean;
	/** People of each arm at one look, one request each. */
	readonly perLook: number;
	readonly looks: number;
}

const LATENCY = metric("latency", { type: "quantile", source: "latency", direction: "down", quantile: 0.9 });
const LOOK_MS = 1_000;
const PLAN = experiment(["boosted"], {
	guardrails: [{ metric: "latency", margin: { kind: "relative", value: 1 } }],
	rollout: { ...ROLLOUT, stepsPpm: [1_000_000], everyMs: LOOK_MS, maxDurationMs: null },
});
const ACCURACY = { control: rate(20_000, 0.5), boosted: rate(20_000, 0.6) };

/** Lognormal with σ 0.5: the p90 is 38 ms. */
const usual = (z: number): number => 20 * Math.exp(0.5 * z);
/** What is frozen at first was measured in the first look, before this. */
const FIRST = 1 / 60;
const load = (at: number): number => 2 ** Math.sin(4 * Math.PI * at);
const SIZE = { perLook: 400, looks: 60 };

export const WORLDS: readonly World[] = [
	{
		name: "the baseline and its equal become twelve times slower",
		control: (z, _, at) => usual(z) * (at < FIRST ? 1 : 12),
		boosted: (z, _, at) => usual(z) * (at < FIRST ? 1 : 12),
		...{ wrong: "harmed", ends: true, ...SIZE },
	},
	{
		name: "the load of two days, from half as slow to twice as slow, and a challenger just at its margin",
		control: (z, _, at) => usual(z) * load(at),
		boosted: (z, _, at) => 2 * usual(z) * load(at),
		...{ wrong: "harmed", ends: false, ...SIZE },
	},
	{
		name: "the same load, and a challenger beyond its margin by a fifth",
		control: (z, _, at) => usual(z) * load(at),
		boosted: (z, _, at) => 2.4 * usual(z) * load(at),
		...{ wrong: "promoted", ends: true, ...SIZE },
	},
	{
		name: "frozen in a slow minute, and a challenger three times slower than the baseline is since",
		control: (z, _, at) => usual(z) * (at < FIRST ? 1 : 0.25),
		boosted: (z, _, at) => usual(z) * (at < FIRST ? 1 : 0.75),
		...{ wrong: "promoted", ends: true, ...SIZE },
	},
	{
		name: "the baseline becomes four times slower, and a third of the challenger's requests thirty times",
		control: (z, _, at) => usual(z) * (at < FIRST ? 1 : 4),
		boosted: (z, u, at) => usual(z) * (at >= FIRST && u < 0.35 ? 30 : 1),
		...{ wrong: "promoted", ends: true, ...SIZE },
	},
	{
		name: "the baseline becomes twice as fast, and so does a challenger with 2 % of very slow requests",
		control: (z, _, at) => usual(z) * (at < FIRST ? 1 : 0.5),
		boosted: (z, u, at) => usual(z) * (at < FIRST ? 1 : 0.5) * (u < 0.02 ? 10 : 1),
		...{ wrong: "harmed", ends: true, ...SIZE },
	},
	{
		name: "the baseline becomes twice as slow, and a challenger always takes what a few of its requests do",
		control: (z, _, at) => usual(z) * (at < FIRST ? 1 : 1.9),
		boosted: (z) => 84 * Math.exp(0.02 * z),
		...{ wrong: "harmed", ends: true, ...SIZE },
	},
];

/** How `runs` experiments in a world ended, and in how many the thresholds were given up at least once. */
export function endsIn(
	world: World,
	runs: number,
	rules: number = RULES,
): Record<"promoted" | "harmed" | "unfrozen", number> {
	const ends = { promoted: 0, harmed: 0, unfrozen: 0 };
	for (let seed = 0; seed < runs; seed++) {
		const outcomes = simulateLatency(seed, world, rules);
		if (outcomes.some(({ action }) => action === "promote")) ends.promoted++;
		if (outcomes.some(({ rule }) => rule === "harm")) ends.harmed++;
		if (outcomes.some(({ action }) => action === "unfreeze-threshold")) ends.unfrozen++;
	}
	return ends;
}

/** What decide() did, holds left out. Ends with the promotion or the rollback. */
export function simulateLatency(
	seed: number,
	{ control, boosted, perLook, looks }: World,
	rules: number,
): readonly Outcome[] {
	const next = uniforms(20_261_125, seed);
	let status: ExperimentStatus = initialStatus(PLAN.spec.rollout.stepsPpm, 0);
	let baseline: number[] = [];
	let slow: Record<"control" | "boosted", MetricEvidence> = { control: NO_MOMENTS, boosted: NO_MOMENTS };
	const outcomes: Outcome[] = [];
	for (let look = 1; look <= looks; look++) {
		const frozen = status.thresholds.latency;
		for (let person = 0; person < perLook; person++) {
			const at = (look - 1 + person / perLook) / looks;
			const [c, t] = [control(normal(next), next(), at), boosted(normal(next), next(), at)];
			baseline.push(c);
			if (frozen === undefined) continue;
			slow = {
				control: addValue(slow.control, c > (frozen.referenceMs ?? Number.NaN) ? 1 : 0),
				boosted: addValue(slow.boosted, t > frozen.thresholdMs ? 1 : 0),
			};
		}
		const outcome = decide({
			...inputOf(status, slow, look),
			rules,
			baselineQuantiles: { latency: quantileOf(baseline) },
		});
		if (outcome.action !== "hold") outcomes.push(outcome);
		if (outcome.action === "promote" || outcome.action === "roll-back") break;
		if (outcome.status.thresholds.latency !== status.thresholds.latency) {
			baseline = [];
			slow = { control: NO_MOMENTS, boosted: NO_MOMENTS };
		}
		status = outcome.status;
	}
	return outcomes;
}

function inputOf(
	status: ExperimentStatus,
	slow: Readonly<Record<"control" | "boosted", MetricEvidence>>,
	look: number,
): DecisionInput {
	const nowMs = look * LOOK_MS;
	const arms = (["control", "boosted"] as const).map((arm) => ({
		arm,
		exposedUnits: 20_000,
		maturedUnits: 20_000,
		metrics: { accuracy: ACCURACY[arm], ...(slow[arm].n === 0 ? {} : { latency: slow[arm] }) },
		missingUnits: {},
	}));
	return {
		rules: RULES,
		experiment: PLAN,
		metrics: { accuracy: METRICS.accuracy ?? LATENCY, latency: LATENCY },
		status,
		evidence: {
			experiment: "main",
			asOfMs: nowMs,
			arms,
			exposures: [
				{
					planVersion: "p1",
					firstMs: 0,
					counts: { control: 20_000, boosted: 20_000 },
					livePoints: { control: 500_000, boosted: 500_000 },
				},
			],
			...NOTHING_BESIDE,
		},
		nowMs,
	};
}

function quantileOf(values: readonly number[]): BaselineQuantile {
	const sorted = [...values].sort((a, b) => a - b);
	const valueMs = sorted[Math.ceil(0.9 * sorted.length) - 1] ?? Number.NaN;
	return { valueMs, requests: values.length, units: values.length };
}
