/** The time when an SVID counts as overdue: never in a healthy run, and always before it expires. */

import t from "tap";
import { IDENTITY_CHECK_MS } from "../../../src/trust/identity/ca.js";
import { firstToEnd, isUnrenewed } from "../../../src/trust/identity/validity.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const madeMs = 1_800_000_000_000;
/** An SVID issued at that time, backdated like its authority's. */
const svid = (lifeMs: number, datedBackMs: number) => ({
	notBeforeMs: madeMs - datedBackMs,
	notAfterMs: madeMs + lifeMs,
});
const WEIR = MINUTE;
const SPIRE = 10 * SECOND;

t.test("an SVID that is renewed at half or two thirds of its lifetime is never overdue", async (t) => {
	for (const lifeMs of [20 * SECOND, MINUTE, 5 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE])
		for (const backMs of [WEIR, SPIRE]) {
			const one = svid(lifeMs, backMs);
			t.notOk(isUnrenewed(one, madeMs + lifeMs / 2 + 2 * IDENTITY_CHECK_MS), `${lifeMs} at half, and a late look`);
			t.notOk(isUnrenewed(one, madeMs + (lifeMs * 2) / 3), `${lifeMs} at two thirds`);
			t.notOk(isUnrenewed(one, madeMs - 10 * MINUTE), "a clock that was set back");
			t.ok(isUnrenewed(one, madeMs + lifeMs), "always of one that has ended");
		}
});

t.test("an SVID is overdue with a quarter of its lifetime left, or a little less", async (t) => {
	for (const lifeMs of [20 * SECOND, MINUTE, 60 * MINUTE])
		t.ok(isUnrenewed(svid(lifeMs, WEIR), madeMs + lifeMs * 0.75 + 1), `${lifeMs} of weir ca`);
	t.ok(isUnrenewed(svid(60 * MINUTE, SPIRE), madeMs + 46 * MINUTE), "of SPIRE");
});

t.test("of several SVIDs the first to expire counts", async (t) => {
	t.equal(firstToEnd([]), null);
	const soon = svid(MINUTE, WEIR);
	t.equal(firstToEnd([svid(60 * MINUTE, WEIR), soon, svid(2 * MINUTE, WEIR)]), soon);
});
