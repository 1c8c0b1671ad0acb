/**
 * `npm run bench -- loop`: one pass of the rollout loop over 1,000 running Experiments with 5 metrics, a quarter of them with
 * segments. Store and evidence are in memory, everything else is real, and every pass has new units.
 */

import { RolloutLoop } from "../../src/decide/rollout/loop.js";
import type { StateStore } from "../../src/decide/rollout/ports.js";
import type { ExperimentStatus } from "../../src/decide/rollout/status.js";
import { canonicalJson } from "../../src/declare/resources/canonicalJson.js";
import type { Experiment, Metric } from "../../src/declare/resources/resource.js";
import type { Evidence, MetricEvidence } from "../../src/infer/statistics/evidence.js";
import { experiment, metric, ROLLOUT, rate, status } from "../decide/rollout/example.js";
import { random } from "../infer/statistics/random.js";

const EXPERIMENTS = 1_000;
const PASSES = 12;
/** The first ones compile the code. */
const WARM_UP = 4;

const METRICS: readonly Metric[] = [
	metric("accuracy", {}),
	metric("error-rate", { source: "errors", direction: "down" }),
	metric("latency-p99", { type: "quantile", source: "latency", direction: "down", quantile: 0.99 }),
	metric("latency", { type: "mean", source: "latency", direction: "down" }),
	metric("revenue-per-order", { type: "ratio", perUnit: "sum", denominator: { metric: "orders" } }),
	metric("orders", { type: "mean", perUnit: "sum" }),
];

const SPEC: Partial<Experiment["spec"]> = {
	goal: { metric: "accuracy", improveBy: { kind: "absolute", value: 0.005 } },
	guardrails: [
		{ metric: "error-rate", margin: { kind: "absolute", value: 0.005 } },
		{ metric: "latency-p99", margin: { kind: "relative", value: 1 } },
		{ metric: "latency", margin: { kind: "relative", value: 0.1 } },
		{ metric: "revenue-per-order", margin: { kind: "relative", value: 0.05 } },
	],
	rollout: { ...ROLLOUT, maxDurationMs: null },
};

/** A quarter of them look for harm in every value of two segments. */
const SEGMENTS = ["country", "plan"].map((name) => ({ name, header: `x-${name}` }));
const VALUES = 8;
const hasSegments = (index: number): boolean => index % 4 === 1;

const named = (index: number): Experiment => {
	const one = experiment(["boosted"], { ...SPEC, segments: hasSegments(index) ? SEGMENTS : [] });
	return { ...one, metadata: { ...one.metadata, name: `e${index}` } };
};

/** A third each at the first step, at the last with nothing proved yet, and near their proof. */
const at = (index: number): ExperimentStatus =>
	status({ ...(index % 3 === 0 ? {} : { stepIndex: 2, allocationPpm: 1_000_000 }), stepStartedAtMs: 99_000 });

/** 300 to 30,000 units an arm, of rates as they are: 70 to 90 % right, up to 0.4 % failed, up to 0.8 % slow. */
function evidenceOf(index: number, pass: number): Evidence {
	const next = random(1 + index * 1_000 + pass);
	const units = Math.round(300 * 100 ** next()) + pass * 7;
	const level = {
		accuracy: 0.7 + 0.2 * next(),
		errors: 0.004 * next(),
		slow: 0.008 * next(),
		latency: 20 + 30 * next(),
	};
	const noise = (sd: number, n: number): number => ((next() + next() + next() - 1.5) * 2 * sd) / Math.sqrt(n);
	const arm = (name: string, lift: number, of = units) => {
		const n = of + Math.round(noise(1, 1) * Math.sqrt(of));
		const share = (p: number): MetricEvidence => {
			const hits = Math.min(n, Math.max(0, Math.round(n * (p + noise(Math.sqrt(p * (1 - p)), n)))));
			return rate(n, hits / n);
		};
		const latency = level.latency + noise(15, n);
		const [revenue, orders] = [40 + noise(30, n), 2 + noise(1.5, n)];
		const metrics: Record<string, MetricEvidence> = {
			accuracy: share(level.accuracy + lift),
			"error-rate": share(level.errors),
			"latency-p99": share(level.slow),
			latency: { n, mean: latency, m2: n * 225 },
			"revenue-per-order": {
				n,
				mean: revenue,
				m2: n * 900,
				co: { n, means: [revenue, orders], m2: [n * 900, n * 30, n * 2.25] },
			},
		};
		return {
			arm: name,
			exposedUnits: n + 50,
			maturedUnits: n,
			metrics,
			missingUnits: { accuracy: Math.round(n / 100) },
		};
	};
	const arms = [arm("control", 0), arm("boosted", index % 3 === 2 ? 0.02 : 0)];
	return {
		experiment: `e${index}`,
		asOfMs: 100_000,
		arms,
		exposures: [200_000, 500_000, 1_000_000].map((ppm, step) => ({
			planVersion: `p${step}`,
			firstMs: 10_000 * step,
			counts: Object.fromEntries(arms.map(({ arm: name, exposedUnits }) => [name, Math.round(exposedUnits / 3)])),
			livePoints: { control: ppm / 2, boosted: ppm / 2 },
		})),
		conflictingUnits: 0,
		health: [],
		droppedEntries: 0,
		forcedUnits: 0,
		segments: !hasSegments(index)
			? []
			: SEGMENTS.flatMap((segment) =>
					Array.from({ length: VALUES }, (_, rank) => ({
						segment: segment.name,
						value: `v${rank}`,
						rank,
						arms: ["control", "boosted"].map((name) => arm(name, 0, Math.ceil(units / VALUES))),
					})),
				),
		periods: [],
		interactions: [],
		newestOutcomeMs: { accuracy: 99_900 },
	};
}

const experiments = Array.from({ length: EXPERIMENTS }, (_, index) => named(index));
const statuses = Object.fromEntries(experiments.map(({ metadata }, index) => [metadata.name, at(index)]));
const resources = {
	gateways: [],
	services: [],
	layers: [],
	experiments,
	metrics: METRICS,
	accessPolicies: [],
	dataClasses: [],
	roleBindings: [],
	approvalPolicies: [],
	referenceGrants: [],
};
let stored = 0;
let written = 0;
const tally = new Map<string, number>();
/** Every pass begins with the same state: what the last one decided is forgotten. */
const store: StateStore = {
	state: async () => ({ revision: 1, resources, status: { experiments: statuses, services: {} } }),
	decide: async ({ experiment: name, atMs, by, input, outcome }) => {
		// Serialised as the state's owner does, which needs every number.
		stored += canonicalJson(outcome).length;
		const decision = { experiment: name, sequence: 1, atMs, by, input, outcome, acknowledgedAtMs: null };
		return { revision: 1, decision };
	},
	keepPlan: async () => undefined,
	plan: async () => null,
	acknowledge: async () => undefined,
	reportProxies: async () => undefined,
};

const seconds: number[] = [];
/** Differs from the wall's where others use the cores. */
const cpuSeconds: number[] = [];
let pass = 0;
let prepared = new Map<string, Evidence>();
/** One loop, as in a control that has been up for a while: a hold of a kind that is recorded already is not written again. */
const loop = new RolloutLoop({
	store,
	evidence: {
		evidence: async ({ experiment: name }) => {
			const found = prepared.get(name);
			if (found === undefined) throw new RangeError(`no evidence for ${name}`);
			return found;
		},
		baselineQuantile: async () => null,
	},
	clock: { nowMs: () => 100_000, after: () => () => undefined },
	webhook: async () => ({ ok: true }),
	report: (event) => {
		if (event.type === "holding") throw event.error;
		if (event.type === "decided" && pass >= WARM_UP) written += 1;
		if (event.type !== "evaluated" || pass < WARM_UP) return;
		const { action, waitsFor = "" } = event.outcome;
		tally.set(`${action} ${waitsFor}`, (tally.get(`${action} ${waitsFor}`) ?? 0) + 1);
	},
	intervalMs: null,
});
for (; pass < PASSES; pass++) {
	prepared = new Map(experiments.map(({ metadata }, index) => [metadata.name, evidenceOf(index, pass)]));
	const [before, used] = [performance.now(), process.cpuUsage()];
	await loop.tick();
	if (pass < WARM_UP) continue;
	seconds.push((performance.now() - before) / 1_000);
	cpuSeconds.push(process.cpuUsage(used).user / 1e6);
}
const median = (values: readonly number[]): number =>
	Number(([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN).toFixed(4));
const times = seconds.map((s) => s.toFixed(3)).join(" ");
process.stdout.write(`${EXPERIMENTS} experiments of 5 metrics, ${seconds.length} passes: ${times} s\n`);
process.stdout.write(`${written} decisions written, ${stored} bytes with those of the warm-up\n`);
process.stdout.write(`outcomes: ${[...tally].map(([kind, count]) => `${kind.trim()} ${count}`).join(", ")}\n`);
process.stdout.write(`RESULT ${JSON.stringify({ seconds: median(seconds), cpuSeconds: median(cpuSeconds) })}\n`);
