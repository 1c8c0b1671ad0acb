/** What is looked up at every look of every Experiment must not cost what only a record needs. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { RecordedOutcomes } from "../../../src/decide/rollout/recordedOutcomes.js";
import { evidence, input, LAST_STEP, status } from "./example.js";

t.test("a hold that stands recorded makes no words: they need exact bounds", async (t) => {
	const recorded = new RecordedOutcomes();
	const outcome = decide(
		input({ status: status(LAST_STEP), evidence: evidence({ control: { n: 300 }, boosted: { n: 300 } }) }),
	);
	t.equal(outcome.action, "hold");
	recorded.add("e", outcome, 0);
	const wordless = Object.defineProperties(
		{ ...outcome },
		Object.fromEntries(
			["reason", "summary"].map((words) => [words, { enumerable: true, get: () => t.fail(`${words} was read`) }]),
		),
	);
	t.ok(recorded.has("e", wordless, 1));
});
