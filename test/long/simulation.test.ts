/** The simulation of test/decide/rollout with many seeds: false verdicts between equal variants stay within alpha. */
import t from "tap";
import { equalVariants } from "../decide/rollout/simulate.js";
import { endsIn, WORLDS } from "../decide/rollout/simulateLatency.js";

t.setTimeout(900_000);

t.test(
	"equal variants over 1,000 runs of 60 looks: promoted or rolled back by harm in no more than alpha",
	async (t) => {
		const { promoted, harmed, stopped } = equalVariants(1_000);
		t.comment(`of 1,000 equal experiments: ${promoted} promoted, ${harmed} rolled back, ${stopped} stopped by SRM`);
		// 99 % upper limit of Binomial(1000, 0.05) is 67; of Binomial(1000, 0.001) it is 4.
		t.ok(promoted <= 67 && harmed <= 67 && stopped <= 4);
	},
);

for (const world of WORLDS)
	t.test(`1,000 runs: ${world.name}`, async (t) => {
		const ends = endsIn(world, 1_000);
		t.comment(JSON.stringify(ends));
		t.ok(ends[world.wrong] <= 67);
	});
