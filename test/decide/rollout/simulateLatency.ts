/**
 * Experiments whose latency guardrail decides: the goal is always met, so an arm is promoted when its p90 is proved to
 * be no more than twice the baseline's, whose own times move. Requests are drawn as milliseconds and judged by the
 * thresholds that decide() freezes, drops and freezes again.
 */

import { decide } from "../../../src/decide/rollout/decide.js";
import { type DecisionInput, type Outcome, RULES } from "../../../src/decide/rollout/decision.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { BaselineQuantile, MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import { CENTRE, gridQuantiles } from "../../../src/infer/statistics/quantileGrid.js";
import { normal, uniforms } from "../../calibrate/random.js";
import { experiment, METRICS, metric, NOTHING_BESIDE, ROLLOUT, rate } from "./example.js";

export interface World {
	readonly name: string;
	/** One request's milliseconds, from a standard normal and a uniform number, at a time from 0 (begin) to 1 (end). */
	readonly control: (z: number, u: number, at: number) => number;
	readonly boosted: (z: number, u: number, at: number) => number;
	/** The end that would be wrong. */
	readonly wrong: "promoted" | "harmed";
	/** Whether the right end is expected, which is not so for a challenger exactly at its margin. */
	readonly ends: boolean;
	/** People of each arm at one look, one request each. */
	readonly perLook: number;
	readonly looks: number;
	/** The guardrail's quantile; absent: the p90. */
	readonly quantile?: number;
	/** The guardrail's margin as a share of the baseline's quantile; absent: 1. */
	readonly margin?: number;
	/** The standard deviation of the log load's step between looks, equal in both arms; absent: 0. */
	readonly walk?: number;
}

const LOOK_MS = 1_000;
const planOf = ({ margin = 1 }: World) =>
	experiment(["boosted"], {
		guardrails: [{ metric: "latency", margin: { kind: "relative", value: margin } }],
		rollout: { ...ROLLOUT, stepsPpm: [1_000_000], everyMs: LOOK_MS, maxDurationMs: null },
	});
const latencyOf = ({ quantile = 0.9 }: World) =>
	metric("latency", { type: "quantile", source: "latency", direction: "down", quantile });
const ACCURACY = { control: rate(20_000, 0.5), boosted: rate(20_000, 0.6) };

/** Lognormal with σ 0.5: the p90 is 38 ms. */
const usual = (z: number): number => 20 * Math.exp(0.5 * z);
/** The first look, which measures the first thresholds, ends here. */
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

/** The normal distribution's p90, p87.5, p99 and p98.75. */
const [Z90, Z875, Z99, Z9875] = [1.2815515655446004, 1.1503493803760079, 2.3263478740408408, 2.2414027276049464];
/** Twice the baseline's quantile is what a share of the challenger's requests is above, and nothing of it is near. */
const few = (share: number) => (_: number, u: number) => (u < share ? 1e6 : 1);
const LONG = { control: usual, perLook: 1_000, looks: 40, ends: false } as const;
const P99 = { quantile: 0.99, perLook: 2_500, looks: 30 } as const;

/** A challenger for which a promotion, or a rollback, is just wrong, for any frozen quantile. */
export const EDGES: readonly World[] = [
	{ ...LONG, name: "12.5 % beyond twice the p90", boosted: few(0.125), wrong: "promoted" },
	{ ...LONG, name: "a p87.5 of twice the p90", boosted: (z) => 2 * usual(z + Z90 - Z875), wrong: "promoted" },
	{ ...LONG, name: "10 % beyond twice the p90", boosted: few(0.1), wrong: "harmed" },
	{ ...LONG, name: "twice the baseline", boosted: (z) => 2 * usual(z), wrong: "harmed" },
	{ ...LONG, ...P99, name: "1.25 % beyond twice the p99", boosted: few(0.0125), wrong: "promoted" },
	{ ...LONG, ...P99, name: "a p98.75 of twice the p99", boosted: (z) => 2 * usual(z + Z99 - Z9875), wrong: "promoted" },
	{ ...LONG, ...P99, name: "1 % beyond twice the p99", boosted: few(0.01), wrong: "harmed" },
	{
		...{ ...LONG, name: "load that wanders, and a p87.5 of twice the p90", walk: 0.2, wrong: "promoted" },
		boosted: (z) => 2 * usual(z + Z90 - Z875),
	},
	{
		...{ ...LONG, name: "load that wanders, and twice the baseline", walk: 0.2, wrong: "harmed" },
		boosted: (z) => 2 * usual(z),
	},
	{
		...{
			...LONG,
			name: "load that wanders, and a fifth of the margin to spare",
			walk: 0.2,
			wrong: "harmed",
			ends: true,
		},
		boosted: (z) => 1.8 * usual(z),
	},
];

/** How `runs` Experiments ended, and how many of them reset their thresholds. */
export function endsIn(world: World, runs: number): Record<"promoted" | "harmed" | "unfrozen", number> {
	const ends = { promoted: 0, harmed: 0, unfrozen: 0 };
	for (let seed = 0; seed < runs; seed++) {
		const outcomes = simulateLatency(seed, world);
		if (outcomes.some(({ action }) => action === "promote")) ends.promoted++;
		if (outcomes.some(({ rule }) => rule === "harm")) ends.harmed++;
		if (outcomes.some(({ action }) => action === "unfreeze-threshold")) ends.unfrozen++;
	}
	return ends;
}

/** The actions of decide() without holds, up to the promotion or rollback. */
export function simulateLatency(seed: number, world: World): readonly Outcome[] {
	const { control, boosted, perLook, looks, margin = 1, quantile = 0.9, walk = 0 } = world;
	const next = uniforms(20_261_125, seed);
	const wander = uniforms(20_261_126, seed);
	let load = 1;
	let status: ExperimentStatus = initialStatus([1_000_000], 0);
	let baseline: number[] = [];
	let slow = { control: new SlowShares(), boosted: new SlowShares() };
	const outcomes: Outcome[] = [];
	for (let look = 1; look <= looks; look++) {
		load *= Math.exp(walk * normal(wander));
		const frozen = status.thresholds.latency;
		const { gridMs = frozen === undefined ? [] : [frozen.referenceMs ?? Number.NaN] } = frozen ?? {};
		const limitsMs = gridMs.map((ms) => (1 + margin) * ms);
		for (let person = 0; person < perLook; person++) {
			const at = (look - 1 + person / perLook) / looks;
			const [c, t] = [load * control(normal(next), next(), at), load * boosted(normal(next), next(), at)];
			if (frozen === undefined) baseline.push(c);
			else {
				slow.control.add(c, gridMs);
				slow.boosted.add(t, limitsMs);
			}
		}
		const outcome = decide({
			...inputOf(world, status, slow, look),
			...(frozen === undefined ? { baselineQuantiles: { latency: quantileOf(baseline, quantile) } } : {}),
		});
		if (outcome.action !== "hold") outcomes.push(outcome);
		if (outcome.action === "promote" || outcome.action === "roll-back") break;
		if (outcome.status.thresholds.latency !== status.thresholds.latency) {
			baseline = [];
			slow = { control: new SlowShares(), boosted: new SlowShares() };
		}
		status = outcome.status;
	}
	return outcomes;
}

/** Requests above each threshold. */
class SlowShares {
	n = 0;
	readonly #above: number[] = [];

	add(ms: number, thresholds: readonly number[]): void {
		this.n++;
		for (const [index, threshold] of thresholds.entries())
			this.#above[index] = (this.#above[index] ?? 0) + (ms > threshold ? 1 : 0);
	}

	evidence(): MetricEvidence {
		const shares = this.#above.map((above) => above / this.n);
		const mean = shares[shares.length === 1 ? 0 : CENTRE] ?? 0;
		return { n: this.n, mean, m2: this.n * mean * (1 - mean), ...(shares.length === 1 ? {} : { slow: shares }) };
	}
}

function inputOf(
	world: World,
	status: ExperimentStatus,
	slow: Readonly<Record<"control" | "boosted", SlowShares>>,
	look: number,
): DecisionInput {
	const nowMs = look * LOOK_MS;
	const latency = latencyOf(world);
	const arms = (["control", "boosted"] as const).map((arm) => ({
		arm,
		exposedUnits: 20_000,
		maturedUnits: 20_000,
		metrics: { accuracy: ACCURACY[arm], ...(slow[arm].n === 0 ? {} : { latency: slow[arm].evidence() }) },
		missingUnits: {},
	}));
	return {
		rules: RULES,
		experiment: planOf(world),
		metrics: { accuracy: METRICS.accuracy ?? latency, latency },
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

/** The median of five parts, as in events/evidence/baselineQuantile.ts. */
function quantileOf(values: readonly number[], quantile: number): BaselineQuantile {
	const size = values.length / 5;
	const stretches = [0, 1, 2, 3, 4].map((k) =>
		values.slice(Math.floor(k * size), Math.floor((k + 1) * size)).sort((a, b) => a - b),
	);
	const at = (q: number): number => {
		const each = stretches.map((sorted) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN);
		return each.sort((a, b) => a - b)[2] ?? Number.NaN;
	};
	const others = gridQuantiles(quantile).map(at);
	return { valueMs: at(quantile), others, requests: values.length, units: values.length };
}
