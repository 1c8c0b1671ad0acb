/** Many more of the histories of test/observe/events/evidence/increments.test.ts, and longer ones. */
import t from "tap";
import { runHistory } from "../observe/events/evidence/increments.js";

const SEEDS = 60;
const LOOKS = 40;

t.setTimeout(3_000_000);

t.test("aggregates that grew are those of a count of everything, over many histories", async (t) => {
	const wrong: string[] = [];
	let checks = 0;
	for (let seed = 100; seed < 100 + SEEDS; seed++) {
		await runHistory(seed, LOOKS, (found, wanted, what) => {
			checks++;
			if (JSON.stringify(found) !== JSON.stringify(wanted))
				wrong.push(`${what}: ${String(found)}, not ${String(wanted)}`);
		});
	}
	t.comment(`${checks} checks`);
	t.same(wrong.slice(0, 10), []);
});
