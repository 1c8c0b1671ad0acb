/** The same as test/decide/rollout/plannedPower.test.ts by so many experiments that a point and a half shows. */
import t from "tap";
import { noise, plannedAndSeen } from "../decide/rollout/plannedPower.js";

const RUNS = 5_000;

t.setTimeout(600_000);

t.test("the planned chances are those of our own looks", async (t) => {
	for (const { name, planned, seen } of plannedAndSeen(RUNS)) {
		t.comment(`${name}: planned ${planned.map((p) => p.toFixed(3))}, seen ${seen.map((p) => p.toFixed(3))}`);
		t.ok(planned.length > 0 && seen.length === planned.length);
		for (const [look, chance] of planned.entries())
			t.ok(
				Math.abs((seen[look] ?? 0) - chance) <= noise(chance, RUNS),
				`${name}, look ${look + 1}: ${seen[look]} of ${chance}`,
			);
	}
});
