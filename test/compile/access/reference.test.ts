/** Compiled and indexed policies give the same verdicts as the naive evaluator, for random policies and requests. */
import t from "tap";
import { agrees, PAIRS_PER_SET } from "./agreement.js";

t.test("compiled policies agree with the naive evaluator on 10,000 random requests", async (t) => {
	const { pairs, reasons, seed } = agrees(Math.ceil(10_000 / PAIRS_PER_SET));
	t.comment(`seed ${seed}: ${JSON.stringify(reasons)}`);
	t.ok(pairs >= 10_000);
	// A generator that produces only one verdict would not test the others.
	for (const reason of ["open", "allowed", "forbidden", "no-policy-allows", "not-canonical"]) {
		t.ok((reasons[reason] ?? 0) > 100, `${reason}: ${reasons[reason]}`);
	}
});
