/**
 * A holdback under a season that moves both arms alike. It changes the ratio of the arms to one in twenty; pooled with
 * earlier data it rolled back better versions and missed late harm (Simpson's paradox).
 */
import t from "tap";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { live, type Season } from "./simulateHoldback.js";

const SEASON: Season = { before: 0.3, after: 0.22, better: 0.02, looks: 75 };
const SEEDS = [300, 302, 303, 304];

t.test("a version that is always better stays, whether the level falls or rises", async (t) => {
	for (const seed of SEEDS) {
		for (const after of [0.22, 0.36]) {
			const { heldAt, end } = live(seed, { ...SEASON, after });
			t.ok(heldAt, `seed ${seed}: it was promoted`);
			t.equal(end, null, `seed ${seed}: the promotion is not taken back at ${after}`);
		}
	}
});

t.test("a winner that becomes harmful is rolled back, even if the level rises by more", async (t) => {
	for (const seed of SEEDS) {
		const { heldAt, end } = live(seed, { ...SEASON, after: 0.4, betterLater: -0.05, looks: 120 });
		t.match(end?.outcome, { action: "roll-back", rule: "harm", status: { phase: "RolledBack" }, defaultVariant: "v1" });
		t.match(
			end?.outcome.reason,
			/^Rolled back from the holdback: among units first exposed in its \d+ s, accuracy of arm/,
		);
		t.match(end?.outcome.summary, /^accuracy is .* worse .*: v2 is rolled back to v1, as it does harm to the people/);
		if (end === null || heldAt === null) continue;
		const { input, outcome } = end;
		const [finding] = outcome.findings;
		t.equal(finding?.harmAlpha, 0.05 / 4, "a quarter of alpha");
		const [control, boosted] = input.evidence.arms;
		t.same([finding?.baseline.n, finding?.challenger.n], [control?.maturedUnits, boosted?.maturedUnits]);
		t.ok((control?.exposedUnits ?? 0) * 15 < (boosted?.exposedUnits ?? 0), "only Metrics of the holdback");
		t.equal(input.evidence.exposures.length, 1);
		t.ok((outcome.srmP ?? 0) > 0.01, "in the shares of the Experiment");
		const decision = {
			experiment: "main",
			sequence: 1,
			atMs: input.nowMs,
			by: "weir",
			input,
			outcome,
			acknowledgedAtMs: null,
		};
		t.match(recompute(JSON.parse(JSON.stringify(decision))), { matches: true });
	}
});
