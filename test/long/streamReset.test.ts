/** The guard of our bootstrap against the stream-reset trap over more streams than test/failure/streamReset sends, and Envoys without it. */
import t from "tap";
import { CALLOUT_REQUESTS_PER_CONNECTION } from "../../src/limits/index.js";
import { runStreams } from "../soak/streams.js";

t.setTimeout(300_000);

t.test("our bootstrap: 20,000 streams over one connection, no reset, no failure", { timeout: 240_000 }, async (t) => {
	const { failed, resets, connections } = await runStreams(t, 20_000, {});
	t.same({ failed, resets, connections }, { failed: 0, resets: 0, connections: 1 });
});

t.test("without the guard: the trap, where Node does not let a server take more resets", async (t) => {
	const { failed, resets, closedByNotice, connections } = await runStreams(t, 3_000, { guard: false });
	t.ok(resets > 2_000, "each stream is reset");
	if (Number(process.versions.node.split(".")[0]) >= 22) {
		// streamResetBurst and streamResetRate are honoured there, so our server alone is enough.
		t.equal(failed, 0);
		t.equal(connections, 1);
		return;
	}
	t.ok(closedByNotice > 0, "the server ends connections by GOAWAY");
	t.ok(connections > 1);
	// How many fail is chance, and now and then it is none.
	t.comment(`${failed} requests failed`);
});

t.test("without the guard, max_requests_per_connection alone: no failure", async (t) => {
	const { failed, connections } = await runStreams(t, 3_000, {
		guard: false,
		maxRequestsPerConnection: CALLOUT_REQUESTS_PER_CONNECTION,
	});
	t.equal(failed, 0);
	t.ok(connections >= Math.floor(3_000 / CALLOUT_REQUESTS_PER_CONNECTION), "it reconnects before the thousandth");
});
