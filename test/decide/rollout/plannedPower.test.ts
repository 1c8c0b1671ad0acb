/** The power of planned looks in `weir plan` matches decide(), within the noise of the simulation. */
import t from "tap";
import { noise, plannedAndSeen } from "./plannedPower.js";

const RUNS = 200;

t.test("planned power agrees with simulated decisions", async (t) => {
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
