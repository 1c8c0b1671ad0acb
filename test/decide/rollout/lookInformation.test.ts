/**
 * A planned look counts units that give information on its comparison. The error of all looks together is simulated from the
 * boundaries that decide() used, with the information that the looks had.
 */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import type { ArmEvidence } from "../../../src/infer/statistics/evidence.js";
import { boundary } from "../../../src/infer/statistics/plannedLook.js";
import { random } from "../../infer/statistics/random.js";
import { evidence, experiment, input, LAST_STEP, METRICS, metric, ROLLOUT, rate, status } from "./example.js";

const ALPHA = 0.05;
const PATHS = 400_000;

interface Scene {
	readonly arms: readonly string[];
	readonly looks: number;
	readonly units: number;
	readonly spending: "pocock" | "obrien-fleming";
	/** Units of an arm with a value of the goal when `units` units of all arms would have matured. */
	readonly withGoal: (arm: string, units: number) => number;
	/** Matured units of an arm at that time. */
	readonly matured: (arm: string, units: number) => number;
	readonly change?: Partial<ExperimentStatus>;
}

const METRIC = { ...METRICS, revenue: metric("revenue", { type: "mean", cap: { quantile: 0.99 } }) };
const CAP = { revenue: { thresholdMs: 99, frozenAtMs: 1, sampleSize: 900 } };

/** By arm: the boundaries that it met, each with its true information (units with a value in it and the baseline). */
function looksOf({ arms, looks, units, spending, withGoal, matured, change = {} }: Scene) {
	const own = experiment(arms, {
		goal: { metric: "revenue", improveBy: { kind: "absolute", value: 0 } },
		guardrails: [],
		rollout: { ...ROLLOUT, maxDurationMs: null, inference: { design: "group-sequential", looks, units, spending } },
	});
	let now = status({ ...LAST_STEP, thresholds: CAP, ...change });
	const met: Record<string, { information: number; boundary: number }[]> = {};
	for (let seen = units / 200; (now.looks?.length ?? 0) < looks && seen <= 2 * units; seen += units / 200) {
		const arm = (name: string): ArmEvidence => {
			const [n, all] = [Math.round(withGoal(name, seen)), Math.round(matured(name, seen))];
			const revenue = { n, mean: n === 0 ? 0 : 5, m2: n, extremes: [{ lo: 3, hi: 7 }] };
			return { arm: name, exposedUnits: all, maturedUnits: all, metrics: { revenue }, missingUnits: {} };
		};
		const all = ["control", ...arms].map(arm);
		// A closed arm has no live points; the sample ratio is not tested here.
		const none = evidence(Object.fromEntries(all.map(({ arm }) => [arm, { n: 1 }])));
		const at = { experiment: own, metrics: METRIC, status: now, evidence: { ...none, arms: all } };
		const outcome = decide(input(at));
		if (outcome.action !== "look") continue;
		now = outcome.status;
		const look = now.looks?.at(-1);
		for (const name of Object.keys(look?.z ?? {})) {
			const information = withGoal(name, seen) + withGoal("control", seen);
			met[name] ??= [];
			met[name].push({ information, boundary: look?.effects?.[name]?.boundary ?? look?.boundary ?? Number.NaN });
		}
	}
	return met;
}

/** Share of paths without any effect that cross. */
function errorOf(looks: readonly { readonly information: number; readonly boundary: number }[], seed: number): number {
	const next = random(seed);
	const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
	let crossed = 0;
	for (let path = 0; path < PATHS; path++) {
		let [sum, before] = [0, 0];
		for (const { information, boundary } of looks) {
			sum += Math.sqrt(information - before) * normal();
			before = information;
			if (sum / Math.sqrt(information) < boundary) continue;
			crossed++;
			break;
		}
	}
	return crossed / PATHS;
}

/** Four standard errors of the simulation. */
const noise = (chance: number): number => 4 * Math.sqrt((chance * (1 - chance)) / PATHS);

for (const [name, looks, frozenAt, spending] of [
	["Pocock, five looks, frozen at 15 %", 5, 0.15, "pocock"],
	["Pocock, ten looks, frozen at 8 %", 10, 0.08, "pocock"],
	["O'Brien–Fleming, five looks, frozen at 15 %", 5, 0.15, "obrien-fleming"],
] as const)
	t.test(`looks keep their error if a cap is frozen while units arrive: ${name}`, async (t) => {
		const units = 60_000;
		const scene = {
			arms: ["boosted"],
			looks,
			units,
			spending,
			withGoal: (_: string, seen: number) => Math.max(0, seen - frozenAt * units) / 2,
			matured: (_: string, seen: number) => seen / 2,
		};
		const now = looksOf(scene).boosted ?? [];
		t.equal(now.length, looks, "every look is taken, delayed by the units before the freezing");
		t.ok(Math.abs((now.at(-1)?.information ?? 0) - units) <= units / 200, `${now.at(-1)?.information}`);
		const error = errorOf(now, 11);
		t.comment(`${name}: error ${error}`);
		t.ok(Math.abs(error - ALPHA) <= noise(ALPHA), `${error}`);
	});

t.test("a closed arm gives the others no information, and each arm has its own boundary", async (t) => {
	const units = 90_000;
	const closedAt = units / 5;
	// A third each; nothing more for deep once it is closed, at the first look.
	const each = (arm: string, seen: number): number => (arm === "deep" ? Math.min(seen, closedAt) : seen) / 3;
	const scene = {
		arms: ["boosted", "deep"],
		looks: 5,
		units,
		spending: "pocock",
		withGoal: each,
		matured: each,
	} as const;
	const change = { closedArms: ["deep"] };
	const now = looksOf({ ...scene, change }).boosted ?? [];
	t.equal(now.length, 5);
	t.ok(Math.abs((now.at(-1)?.information ?? 0) - (2 * units) / 3) < units / 100, "as if it had not been closed");
	const error = errorOf(now, 12);
	t.comment(`error ${error}`);
	t.ok(Math.abs(error - ALPHA / 2) <= noise(ALPHA / 2), `${error}`);
});

t.test("a look needs outcomes of each challenger with weight", async (t) => {
	const units = 12_000;
	const [control, boosted, deep] = experiment(["boosted", "deep"]).spec.arms;
	const at = (n: Readonly<Record<string, number>>, weight: number) => {
		const own = experiment([], {
			arms: [control, boosted, deep].flatMap((arm) =>
				arm === undefined ? [] : [{ ...arm, weight: arm.name === "deep" ? weight : 1 }],
			),
			guardrails: [],
			rollout: { ...ROLLOUT, maxDurationMs: null, minUnits: 1, inference: { design: "fixed-horizon", units } },
		});
		const all = evidence(Object.fromEntries(Object.keys(n).map((arm) => [arm, { n: 6_000 }])));
		const arms = all.arms.map((arm) => {
			const some = n[arm.arm] ?? 0;
			const accuracy = { n: some, mean: some === 0 ? 0 : 0.8, m2: some * 0.16 };
			return { ...arm, metrics: { ...arm.metrics, accuracy } };
		});
		return decide(input({ experiment: own, status: status(LAST_STEP), evidence: { ...all, arms } }));
	};
	t.match(at({ control: 4_000, boosted: 3_900, deep: 4_000 }, 1), {
		waitsFor: "look",
		reason: /at 12000 matured units with accuracy, the comparison of arm boosted has as much as 11850/,
	});
	const look = at({ control: 4_000, boosted: 4_000, deep: 4_200 }, 1);
	t.match(look.status.looks, [{ units: 12_000, effects: { boosted: { units: 12_000 }, deep: { units: 12_300 } } }]);
	t.equal(at({ control: 5_900, boosted: 6_100, deep: 0 }, 0).action, "look");
});

t.test("an arm's boundary uses its own earlier information, and half a unit counts as none", async (t) => {
	const inference = { design: "group-sequential", looks: 3, units: 30_003, spending: "pocock" } as const;
	const own = experiment(["boosted", "deep"], {
		guardrails: [],
		rollout: { ...ROLLOUT, maxDurationMs: null, minUnits: 1, inference },
	});
	const at = (n: Readonly<Record<string, number>>, now: ExperimentStatus) => {
		const made = evidence(Object.fromEntries(Object.keys(n).map((arm) => [arm, { n: 12_000 }])));
		const arms = made.arms.map((arm) => ({
			...arm,
			metrics: { ...arm.metrics, accuracy: rate(n[arm.arm] ?? 0, 0.8) },
		}));
		return decide(input({ experiment: own, status: now, evidence: { ...made, arms } }));
	};
	const before = status(LAST_STEP);
	// 6,667 units of two arms of three are 10,000.5 of all, and the first look is at 10,001.
	t.match(at({ control: 3_333, boosted: 3_334, deep: 4_000 }, before), { action: "hold", waitsFor: "look" });
	const first = at({ control: 3_334, boosted: 3_334, deep: 4_666 }, before);
	t.match(first.status.looks, [{ units: 10_002, effects: { deep: { units: 12_000 } } }]);
	const second = at({ control: 7_000, boosted: 7_000, deep: 7_000 }, first.status).status.looks?.[1]?.effects;
	const line = (taken: number): number => boundary(inference, [taken, 21_000], ALPHA / 2);
	t.equal(second?.boosted?.boundary, line(10_002));
	t.equal(second?.deep?.boundary, line(12_000));
	t.not(line(10_002), line(12_000));
});
