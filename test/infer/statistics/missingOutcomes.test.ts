/** Unequally missing outcomes are tested at exactly the given level, half for each direction. */
import t from "tap";
import { unequalMissing } from "../../../src/infer/statistics/missingOutcomes.js";
import { evidence, experiment, METRICS } from "../../decide/rollout/example.js";

const { accuracy } = METRICS;
if (accuracy === undefined) throw new Error("the metric");

t.test("the alpha for missing outcomes is split over directions, challengers and metrics", async (t) => {
	const ALPHA = 0.001;
	for (const challengers of [1, 2]) {
		const own = experiment(["boosted", "deep"].slice(0, challengers));
		const unequal = (without: number, alpha: number) => {
			const all = evidence({ control: { n: 1_000 }, boosted: { n: 1_000 }, deep: { n: 1_000 } });
			const arms = all.arms.map((arm) => ({
				...arm,
				missingUnits: { accuracy: arm.arm === "boosted" ? without : 100 },
			}));
			return unequalMissing(own, { accuracy }, { ...all, arms }, ["boosted"], alpha);
		};
		let between = 0;
		for (let without = 101; without < 300; without++) {
			const logE = unequal(without, 1)[0]?.logE ?? 0;
			const proved = unequal(without, ALPHA).length > 0;
			t.equal(proved, logE >= Math.log((2 * challengers) / ALPHA), `${without}: ${logE}`);
			if (!proved && logE >= -Math.log(ALPHA)) between++;
		}
		t.ok(between > 0, "some would be proved at the whole alpha");
	}
});
