/** Random policies and requests: compiled and indexed rules give the verdicts of a naive implementation. */
import t from "tap";
import { agrees, PAIRS_PER_SET } from "./agreement.js";

t.test("10,000 random pairs of policies and request have the naive verdicts", async (t) => {
	const { pairs, reasons, seed } = agrees(Math.ceil(10_000 / PAIRS_PER_SET));
	t.comment(`seed ${seed}: ${JSON.stringify(reasons)}`);
	t.ok(pairs >= 10_000);
	// A generator that only makes one verdict would prove nothing of the others.
	for (const reason of ["open", "allowed", "forbidden", "no-policy-allows", "not-canonical"]) {
		t.ok((reasons[reason] ?? 0) > 100, `${reason}: ${reasons[reason]}`);
	}
});
