/**
 * The stream-reset trap (dataplane reference 6): Envoy ends each ext_proc stream with RST_STREAM, and Node's HTTP/2
 * answers the 1,000th of a connection with GOAWAY, which fails requests. The guard of our bootstrap ends the resets;
 * where it cannot be set, max_requests_per_connection keeps below the thousand. test/long sends 20,000 streams.
 */
import t from "tap";
import { CALLOUT_REQUESTS_PER_CONNECTION } from "../../src/limits/index.js";
import { runStreams } from "../soak/streams.js";

t.setTimeout(120_000);

t.test("our bootstrap: 5,000 streams over one connection, no reset, no failure", async (t) => {
	const { failed, resets, connections } = await runStreams(t, 5_000, {});
	t.equal(failed, 0);
	t.equal(resets, 0);
	t.equal(connections, 1);
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
