/** Designs with planned looks: each look once, at the available information; harm at any time. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { applyExperiment } from "../../../src/decide/rollout/declaration.js";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import type { InferenceDesign } from "../../../src/declare/resources/resource.js";
import { statistic } from "../../../src/infer/statistics/plannedLook.js";
import { evidence, experiment, input, LAST_STEP, metric, ROLLOUT, status } from "./example.js";

const planned = (inference: InferenceDesign) =>
	experiment(["boosted"], { rollout: { ...ROLLOUT, maxDurationMs: null, inference } });
const GROUPS = planned({ design: "group-sequential", looks: 4, units: 8_000, spending: "obrien-fleming" });
const FIXED = planned({ design: "fixed-horizon", units: 8_000 });

const at = (own: typeof GROUPS, n: number, accuracy: number, change: Partial<ExperimentStatus> = {}, errors = 0) =>
	decide(
		input({
			experiment: own,
			status: status({ ...LAST_STEP, ...change }),
			evidence: evidence({ control: { n, accuracy: 0.78 }, boosted: { n, accuracy, errors } }),
		}),
	);

t.test("there is no look before its number of units, even if the effect is clear", async (t) => {
	const waiting = at(FIXED, 3_900, 0.9);
	t.match(waiting, {
		action: "hold",
		waitsFor: "look",
		reason:
			/planned look 1 of 1 is at 8000 matured units with accuracy, the comparison of arm boosted has as much as 7800/,
		summary: /when 200 more people have been measured/,
	});
	t.match(waiting.findings.at(-1), { role: "goal", verdict: "open" });
	t.ok((waiting.findings.at(-1)?.lower ?? 0) > 0.05, "the sequence would have proved it");
});

t.test("a fixed horizon takes one look by the classical test, then promotes or ends", async (t) => {
	const look = at(FIXED, 4_000, 0.83);
	t.match(look, {
		action: "look",
		rule: "look",
		reason: /Took the planned look at 8000 units \(planned at 8000 of 8000\)/,
	});
	const [only] = look.status.looks ?? [];
	// The score test at the line, by plannedLook.py's score(4000, 3320, 4000, 3120, 1, 0.005); against Φ⁻¹(0.95).
	t.match(only, { units: 8_000, atMs: 100_000 });
	t.ok(Math.abs((only?.z.boosted ?? 0) - 5.081552624616076) < 1e-9, `${only?.z.boosted}`);
	t.ok(Math.abs((only?.boundary ?? 0) - 1.6448536269514722) < 1e-9, `${only?.boundary}`);
	t.match(at(FIXED, 4_000, 0.83, look.status), {
		action: "promote",
		reason:
			/accuracy at least 0\.03546 against the line 0\.005 at planned look 1 \(z 5\.082 reached the boundary 1\.645 at 8000 units\), all proved, the guardrails at all looks;/,
	});

	const none = at(FIXED, 4_000, 0.786);
	t.match(none.summary, /the improvement is not proved yet/);
	const ended = at(FIXED, 4_000, 0.9, none.status);
	t.match(ended, {
		action: "roll-back",
		rule: "look",
		reason: /the last of the planned looks, at 8000 units, did not prove/,
	});
	const resumed = at(FIXED, 4_000, 0.9, { ...none.status, durationFromMs: 100_000 });
	t.match(resumed, { action: "hold", waitsFor: "proof" }, "a repeated look has no effect");
});

t.test("a group-sequential design takes each look once, late and skipped looks at their own information", async (t) => {
	const first = at(GROUPS, 1_000, 0.8);
	t.match(first.status.looks, [{ units: 2_000 }]);
	// Lan and DeMets' O'Brien–Fleming, one-sided 0.05, four looks: 3.7496, 2.5395, 2.0211, 1.7213 at equal spacing.
	t.ok(Math.abs((first.status.looks?.[0]?.boundary ?? 0) - 3.7496) < 5e-3, `${first.status.looks?.[0]?.boundary}`);
	t.match(at(GROUPS, 1_000, 0.8, first.status), {
		action: "hold",
		waitsFor: "look",
		reason: /planned look 2 of 4 is at 4000/,
	});
	const jumped = at(GROUPS, 3_100, 0.8, first.status);
	t.match(jumped.status.looks, [{ units: 2_000 }, { units: 6_200 }]);
	t.match(at(GROUPS, 3_100, 0.8, jumped.status), { action: "hold", reason: /planned look 4 of 4 is at 8000/ });
	const last = at(GROUPS, 5_000, 0.82, jumped.status);
	t.match(last, { action: "look", reason: /proved for boosted/ });
	t.equal(last.status.looks?.length, 3);
	t.equal(at(GROUPS, 5_000, 0.82, last.status).action, "promote");
});

t.test("a look that proves the goal waits for the guardrails; harm rolls back at any time", async (t) => {
	const look = at(GROUPS, 2_000, 0.86);
	t.match(at(GROUPS, 2_000, 0.86, look.status, 0.004), { action: "hold", waitsFor: "proof", reason: /error-rate/ });
	t.match(at(GROUPS, 300, 0.5), { action: "roll-back", rule: "harm" });
});

t.test("a look with too few events for the normal approximation proves nothing", async (t) => {
	const rare = planned({ design: "fixed-horizon", units: 400 });
	const look = at(rare, 200, 0.99);
	t.match(look.status.looks, [{ z: { boosted: null } }]);
	t.match(look.reason, /boosted untested/);
});

t.test("all texts about a proved goal use the numbers of its look", async (t) => {
	// plannedLook.py's score(10000, 7960, 10000, 7800, 1, 0.005): z 1.9029…; the sequence's bound is below the line.
	const alone = experiment(["boosted"], {
		guardrails: [],
		rollout: { ...ROLLOUT, maxDurationMs: null, inference: { design: "fixed-horizon", units: 20_000 } },
	});
	const look = at(alone, 10_000, 0.796);
	t.match(look.reason, /boosted z 1\.903 \(at least 0\.006494\) against the boundary 1\.645; proved for boosted/);
	// Later entries change neither the look's numbers nor its texts.
	for (const accuracy of [0.796, 0.788]) {
		const promoted = at(alone, 10_000, accuracy, look.status);
		t.equal(promoted.action, "promote", promoted.reason);
		t.match(
			promoted.reason,
			/: accuracy at least 0\.006494 against the line 0\.005 at planned look 1 \(z 1\.903 reached the boundary 1\.645 at 20000 units\), proved; it takes over/,
		);
		t.match(promoted.summary, /^accuracy is 1\.6 points better \(at least 0\.65\): v2 takes over\.$/);
		const goal = promoted.findings.at(-1);
		t.ok(goal?.verdict === "pass" && (goal.lower ?? 1) < goal.line, "its sequence has not proved it");
		t.match(goal?.look, { number: 1, units: 20_000 });
		const { z, boundary = 9, lower } = goal?.look ?? {};
		t.ok((z ?? 0) >= boundary && (lower ?? 0) > 0.005 && (lower ?? 1) < 0.0066, JSON.stringify(goal?.look));
	}
	const lost = at(alone, 10_000, 0.784).status;
	const resumed = at(alone, 10_000, 0.85, { ...lost, durationFromMs: 100_000 });
	t.match(
		resumed.reason,
		/accuracy of arm boosted was not proved by planned look 1 \(z -0\.17\d+, the boundary was 1\.645\)/,
	);
	t.match(resumed.summary, /was not proved better by 0\.5 points at its planned looks/);
});

t.test("a look's bound reaches the line exactly when its z reaches the boundary", async (t) => {
	for (const accuracy of [0.787, 0.79, 0.7935, 0.7945, 0.795, 0.7955, 0.8, 0.82])
		for (const [own, n] of [
			[FIXED, 4_000],
			[GROUPS, 2_000],
		] as const) {
			const [only] = at(own, n, accuracy).status.looks ?? [];
			const { boosted: z = null } = only?.z ?? {};
			const lower = only?.effects?.boosted?.lower ?? Number.NEGATIVE_INFINITY;
			t.equal(lower >= 0.005, z !== null && z >= (only?.boundary ?? 0), `${accuracy}: ${z} ${lower}`);
		}
});

t.test("the arm whose look has the highest bound wins", async (t) => {
	const two = experiment(["boosted", "deep"], {
		guardrails: [],
		rollout: { ...ROLLOUT, maxDurationMs: null, inference: { design: "fixed-horizon", units: 12_000 } },
	});
	const seen = (boosted: number, deep: number, change: Partial<ExperimentStatus>) =>
		decide(
			input({
				experiment: two,
				status: status({ ...LAST_STEP, ...change }),
				evidence: evidence({
					control: { n: 4_000, accuracy: 0.78 },
					boosted: { n: 4_000, accuracy: boosted },
					deep: { n: 4_000, accuracy: deep },
				}),
			}),
		);
	const look = seen(0.82, 0.83, {}).status;
	t.match(seen(0.83, 0.82, look).reason, /^Promoted arm deep/);
});

t.test("an edited Experiment does not regain the alpha of its looks", async (t) => {
	const look = at(GROUPS, 1_000, 0.8).status;
	const margin = { ...GROUPS, spec: { ...GROUPS.spec, guardrails: GROUPS.spec.guardrails.slice(0, 1) } };
	t.same(applyExperiment(GROUPS, margin, look, 1)?.status.looks, look.looks);
	const longer = planned({ design: "group-sequential", looks: 4, units: 16_000, spending: "obrien-fleming" });
	t.same(applyExperiment(GROUPS, longer, look, 1)?.status.looks, look.looks, "validation refuses it before");
});

t.test("a planned look at a mean needs as many units as its sequence, also with a declared range", async (t) => {
	const asked = {
		metric: metric("score", { type: "mean", range: { lo: 0, hi: 1 } }),
		role: "goal",
		effect: { kind: "absolute", value: 0 },
		slowLine: 0,
	} as const;
	const arm = (n: number, mean: number) => ({ n, mean, m2: n * 0.05 });
	t.equal(statistic(asked, arm(30, 0.6), arm(270, 0.5)), null);
	t.equal(statistic(asked, arm(1_999, 0.6), arm(4_000, 0.5)), null);
	t.ok((statistic(asked, arm(2_000, 0.6), arm(4_000, 0.5)) ?? 0) > 10);
	const heavy = { ...arm(2_000, 0.6), extremes: [{ lo: 0, hi: 9 }] };
	t.equal(
		statistic(asked, heavy, { ...arm(4_000, 0.5), extremes: [{ lo: 0, hi: 1 }] }),
		null,
		"one unit outweighs the others",
	);
});

t.test("a look counts units as information; with weight in another comparison, it counts units as they are", (t) => {
	const own = experiment(["boosted", "third"], {
		guardrails: [],
		rollout: {
			...ROLLOUT,
			minUnits: 50,
			inference: { design: "group-sequential", looks: 2, units: 20_000, spending: "pocock" },
		},
	});
	const arms = own.spec.arms.map((arm) => (arm.name === "third" ? { ...arm, weight: 8 } : arm));
	const wide = { ...own, spec: { ...own.spec, arms } };
	const by = (n: number, change: Partial<ExperimentStatus> = {}) =>
		decide(
			input({
				experiment: wide,
				status: status({ ...LAST_STEP, closedArms: ["third"], ...change }),
				evidence: evidence(
					{ control: { n, accuracy: 0.7 }, boosted: { n, accuracy: 0.71 }, third: { n: 80 } },
					{
						exposures: [
							{
								planVersion: "p2",
								firstMs: 1,
								counts: { control: n, boosted: n },
								livePoints: { control: 1_000, boosted: 1_000 },
							},
						],
					},
				),
			}),
		);
	t.match(by(950).summary, /looked at when 100 more people of boosted and the old version have been measured/);
	t.match(
		by(1_000).summary,
		/^2,000 people of boosted and the old version have been measured, with the information of 10,000 people, as planned: /,
	);
	const last = by(2_000, { looks: by(2_000).status.looks ?? [] });
	t.match(last.summary, /no clear result by the last planned look, which had the information of 20,000 people/);
	t.end();
});
