/** Simulates goals with planned looks: units arrive, decide() makes the looks, and the first proof is returned. */

import { decide } from "../../../src/decide/rollout/decide.js";
import { provedByLook } from "../../../src/decide/rollout/rules/plannedLook.js";
import type { Experiment, InferenceDesign, Metric } from "../../../src/declare/resources/resource.js";
import { planOf } from "../../../src/infer/planning/plan.js";
import type { PlanMetric } from "../../../src/infer/planning/planMetric.js";
import type { ArmEvidence, Moments } from "../../../src/infer/statistics/evidence.js";
import { plannedUnits } from "../../../src/infer/statistics/plannedLook.js";
import { random } from "../../infer/statistics/random.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, status } from "./example.js";

interface Scene {
	readonly goal: NonNullable<Experiment["spec"]["goal"]>;
	readonly metric: Metric;
	readonly inference: Exclude<InferenceDesign, { readonly design: "sequential" }>;
	/** A unit's value in an arm. */
	readonly draw: (arm: "challenger" | "baseline", next: () => number) => number;
}

/** The number of `runs` Experiments that had proved the goal by each look. */
function provedByLooks(
	{ goal, metric: declared, inference, draw }: Scene,
	runs: number,
	seed: number,
): readonly number[] {
	const own = experiment(["boosted"], {
		goal,
		guardrails: [],
		rollout: { ...ROLLOUT, maxDurationMs: null, inference },
	});
	const metrics = { ...METRICS, [goal.metric]: declared };
	const looks = plannedUnits(inference);
	const proved = looks.map(() => 0);
	for (let run = 0; run < runs; run++) {
		const next = random(seed + run);
		const sums = { challenger: { n: 0, mean: 0, m2: 0 }, baseline: { n: 0, mean: 0, m2: 0 } };
		let now = status(LAST_STEP);
		for (const [look, units] of looks.entries()) {
			while (sums.challenger.n + sums.baseline.n < units) {
				const arm = next() < 0.5 ? "challenger" : "baseline";
				const value = draw(arm, next);
				const moments = sums[arm];
				moments.n += 1;
				const delta = value - moments.mean;
				moments.mean += delta / moments.n;
				moments.m2 += delta * (value - moments.mean);
			}
			const arm = (name: string, { n, mean, m2 }: Moments): ArmEvidence => ({
				arm: name,
				exposedUnits: n,
				maturedUnits: n,
				metrics: { [goal.metric]: { n, mean, m2 } },
				missingUnits: {},
			});
			const arms = [arm("control", sums.baseline), arm("boosted", sums.challenger)];
			const none = evidence({ control: { n: sums.baseline.n }, boosted: { n: sums.challenger.n } });
			const outcome = decide(input({ experiment: own, metrics, status: now, evidence: { ...none, arms } }));
			if (outcome.action !== "look") throw new Error(`no look at ${units} units: ${outcome.reason}`);
			now = outcome.status;
			if (provedByLook(now).length === 0) continue;
			for (let later = look; later < looks.length; later++) proved[later] = (proved[later] ?? 0) + 1;
			break;
		}
	}
	return proved;
}

const coin =
	(challenger: number, baseline: number): Scene["draw"] =>
	(arm, next) =>
		next() < (arm === "challenger" ? challenger : baseline) ? 1 : 0;

/** Exponential values with standard deviation 1, shifted by `challenger` in that arm. */
const skewed =
	(challenger: number): Scene["draw"] =>
	(arm, next) =>
		-Math.log(1 - next()) + (arm === "challenger" ? challenger : 0);

const absolute = (value: number) => ({ kind: "absolute", value }) as const;
const relative = (value: number) => ({ kind: "relative", value }) as const;

const SCENES: readonly (readonly [
	name: string,
	scene: Scene,
	known: Pick<PlanMetric, "baselineMean" | "variance" | "believed">,
])[] = [
	[
		"a share by four looks",
		{
			goal: { metric: "bought", improveBy: absolute(0.005) },
			metric: metric("bought", {}),
			inference: { design: "group-sequential", looks: 4, units: 4_000, spending: "obrien-fleming" },
			draw: coin(0.825, 0.78),
		},
		{ baselineMean: 0.78, variance: null, believed: 0.045 },
	],
	[
		"a rare share that is to fall, by Pocock's looks, as a share of itself",
		{
			goal: { metric: "complained", improveBy: relative(0) },
			metric: metric("complained", { direction: "down" }),
			inference: { design: "group-sequential", looks: 3, units: 6_000, spending: "pocock" },
			draw: coin(0.036, 0.05),
		},
		{ baselineMean: 0.05, variance: null, believed: 0.28 },
	],
	[
		"a share by one look",
		{
			goal: { metric: "bought", improveBy: absolute(0) },
			metric: metric("bought", {}),
			inference: { design: "fixed-horizon", units: 2_000 },
			draw: coin(0.15, 0.11),
		},
		{ baselineMean: 0.11, variance: null, believed: 0.04 },
	],
	[
		"a skewed mean, whose first look comes too early",
		{
			goal: { metric: "spent", improveBy: absolute(0.02) },
			metric: metric("spent", { type: "mean" }),
			inference: { design: "group-sequential", looks: 3, units: 9_000, spending: "obrien-fleming" },
			draw: skewed(0.075),
		},
		{ baselineMean: 1, variance: 1, believed: 0.075 },
	],
];

export interface PlannedAndSeen {
	readonly name: string;
	/** Chance to have proved the goal by each look. */
	readonly planned: readonly number[];
	readonly seen: readonly number[];
}

/** The power of every scene, by this many simulated experiments. */
export function plannedAndSeen(runs: number): readonly PlannedAndSeen[] {
	return SCENES.map(([name, scene, known], index) => {
		const { goal, metric: declared, inference: design } = scene;
		const claim: PlanMetric = {
			...known,
			name: goal.metric,
			metric: declared,
			role: "goal",
			effect: goal.improveBy,
			slowLine: 0,
		};
		const [plan] = planOf({
			metrics: [claim],
			design,
			weights: [1, 1],
			alpha: 0.05,
			power: 0.8,
			traffic: null,
		}).metrics;
		return {
			name,
			planned: plan?.looks?.looks.map(({ proved }) => proved) ?? [],
			seen: provedByLooks(scene, runs, 500_000 * (index + 1)).map((count) => count / runs),
		};
	});
}

/** Four standard errors of so many runs, and a point for the normal law. */
export function noise(chance: number, runs: number): number {
	return 4 * Math.sqrt((chance * (1 - chance) + 1 / runs) / runs) + 0.01;
}
