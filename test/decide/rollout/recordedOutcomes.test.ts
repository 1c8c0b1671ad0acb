/** The check for a recorded outcome must not build the texts of a record. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { RecordedOutcomes } from "../../../src/decide/rollout/recordedOutcomes.js";
import { evidence, input, LAST_STEP, status } from "./example.js";

t.test("the check for a recorded hold builds no text, which would need exact bounds", async (t) => {
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
