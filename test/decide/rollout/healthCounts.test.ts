/** Invalid health counts stop a takeover and are reported. */
import t from "tap";
import { judgeHealth } from "../../../src/decide/rollout/takeover.js";

t.test("invalid health counts are a reason to wait, and no text contains NaN", (t) => {
	for (const [requests, failures] of [
		[Number.NaN, 0],
		[100, Number.NaN],
		[Number.POSITIVE_INFINITY, 0],
		[100, -1],
	] as const) {
		const { healthy, why } = judgeHealth([{ variant: "v2", requests, failures }], "v2");
		t.notOk(healthy);
		t.equal(why, "what is counted of variant v2's requests are no counts");
	}
	t.end();
});
