/** test/compile/access/reference.test.ts at length; WEIR_PAIRS sets the number of pairs, WEIR_SEED repeats a failure. */
import t from "tap";
import { agrees, PAIRS_PER_SET } from "../compile/access/agreement.js";

t.setTimeout(3_600_000);

const PAIRS = Number(process.env.WEIR_PAIRS ?? 1_000_000);

t.test(`${PAIRS} random pairs of policies and request`, { timeout: 3_600_000 }, async (t) => {
	const { pairs, reasons, seed } = agrees(Math.ceil(PAIRS / PAIRS_PER_SET));
	t.comment(`seed ${seed}: ${JSON.stringify(reasons)}`);
	t.ok(pairs >= PAIRS);
});
