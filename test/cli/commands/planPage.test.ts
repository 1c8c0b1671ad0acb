/** The page of `weir plan` for each design; every word and number on it has a meaning. */
import t from "tap";
import { planPage, type ReportedPlan } from "../../../src/cli/commands/planPage.js";
import { planInputOf } from "../../../src/decide/rollout/planInput.js";
import type { Experiment, Metric } from "../../../src/declare/resources/resource.js";
import { planOf } from "../../../src/infer/planning/plan.js";
import { experiment, METRICS, metric, ROLLOUT } from "../../decide/rollout/example.js";
import { golden } from "../../golden/golden.js";

const ALL: Readonly<Record<string, Metric>> = {
	...METRICS,
	stars: metric("stars", { type: "mean", range: { lo: 1, hi: 5 } }),
	wait: metric("wait", { type: "mean", source: "latency", direction: "down" }),
	clicks: metric("clicks", { type: "ratio", denominator: "requests" }),
	complaints: metric("complaints", { direction: "down" }),
};
const LEVELS = {
	accuracy: [0.78, null],
	"error-rate": [0.002, null],
	revenue: [12, 900],
	stars: [4.1, 0.49],
	wait: [40, 3_600],
	clicks: [0.3, 0.25],
	complaints: [0.02, null],
} as const;
const FACTS = {
	baselines: Object.fromEntries(
		Object.entries(LEVELS).map(([name, [mean, variance]]) => [name, { mean, variance, from: "a test" }]),
	),
	traffic: { newUnitsPerDay: [9_000, 8_000, 7_000, 6_500], from: "--traffic" },
};

function pageOf(own: Experiment, traffic = true, effects: Readonly<Record<string, number>> = {}): string {
	const facts = traffic ? FACTS : { ...FACTS, traffic: null };
	const planned = planInputOf(own, ALL, facts, { power: 0.8, days: 14, effects });
	const reported: ReportedPlan = {
		experiment: "main",
		facts: { traffic: facts.traffic, baselines: planned.baselines },
		input: planned.input,
		plan: planned.input === null ? null : planOf(planned.input),
		unknown: planned.unknown,
		running: null,
	};
	return planPage(reported, own);
}

const absolute = (value: number) => ({ kind: "absolute", value }) as const;
const relative = (value: number) => ({ kind: "relative", value }) as const;
const EVERY = Object.keys(ALL);

t.test("no metric, role, direction or size makes a word or number that means nothing", async (t) => {
	for (const size of [absolute(0), absolute(0.002), relative(0), relative(0.3)])
		for (const goal of EVERY) {
			const own = experiment(["boosted"], {
				goal: { metric: goal, improveBy: size },
				guardrails: EVERY.filter((name) => name !== goal).map((name) => ({
					metric: name,
					margin: { ...size, value: size.value || 1 },
				})),
			});
			const page = pageOf(own);
			t.notMatch(
				page,
				/NaN|undefined|Infinity|null|\[object|-0\b|>0pp|>0%|by more than 0 |-\d/,
				`${goal} ${size.value}`,
			);
			for (const name of EVERY) t.match(page, new RegExp(`^${name} +(goal|guardrail) `, "m"));
		}
});

t.test("the page shows each design: planned looks, a single look, a bandit, and no decision", async (t) => {
	const looks = { design: "group-sequential", looks: 3, units: 6_000, spending: "obrien-fleming" } as const;
	const single = { design: "fixed-horizon", units: 6_000 } as const;
	const bandit = { algorithm: "thompson", floorPpm: 100_000, everyMs: 3_600_000 } as const;
	const declared = (rollout: object) => experiment(["boosted"], { rollout: { ...ROLLOUT, ...rollout } });
	const [bandits, slow] = [
		pageOf(declared({ bandit }), true, { accuracy: 0.04 }),
		pageOf(declared({}), true, { accuracy: 0.005 }),
	];
	t.match(bandits, /^Bandit: .* only 10% of each arm's people/m);
	t.match(slow, /^Decision: not to be expected .* because of accuracy\.$/m);
	const pages = [
		pageOf(declared({ inference: looks }), true, { accuracy: 0.04 }),
		pageOf(declared({ inference: single }), false, { accuracy: 0.04 }),
	];
	await golden(t, "plan", pages.join("\n"));
});
