/** Simulated experiments end correctly: the better is promoted, the worse rolled back, equals left alone. */
import t from "tap";
import type { Outcome } from "../../../src/decide/rollout/decision.js";
import { equalVariants, PLAIN, simulate } from "./simulate.js";

const actions = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ action }) => action);

t.test("a better challenger is ramped, promoted and takes over, in every one of 8 runs", async (t) => {
	for (let seed = 0; seed < 8; seed++) {
		const outcomes = simulate(seed, { accuracy: 0.83, slow: 0.0005, errors: 0 }, 400, 90);
		t.same(actions(outcomes), ["ramp", "ramp", "promote", "advance-takeover", "complete"], `seed ${seed}`);
		t.equal(outcomes.at(-1)?.defaultVariant, "v2");
	}
});

t.test("worse, slower and failing challengers are rolled back by their own metric in each of 20 runs", async (t) => {
	for (const [metric, truth] of [
		["accuracy", { ...PLAIN, accuracy: 0.53 }],
		["latency-p99", { ...PLAIN, slow: 0.9 }],
		["error-rate", { ...PLAIN, errors: 0.1 }],
	] as const)
		for (let seed = 0; seed < 20; seed++) {
			const last = simulate(seed, truth, 130, 60).at(-1);
			t.match(last, { action: "roll-back", rule: "harm" }, `${metric}, seed ${seed}`);
			t.same(
				last?.findings.filter(({ verdict }) => verdict === "harm").map((finding) => finding.metric),
				[metric],
			);
		}
});

t.test("equal variants are promoted or rolled back in at most alpha of 50 runs with 60 looks", async (t) => {
	const { promoted, harmed, stopped } = equalVariants(50);
	t.comment(`of 50 equal experiments: ${promoted} promoted, ${harmed} rolled back, ${stopped} stopped by SRM`);
	// 99 % upper limit of Binomial(50, 0.05) is 7; of Binomial(50, 0.001) it is 1.
	t.ok(promoted <= 7 && harmed <= 7 && stopped <= 1);
});
