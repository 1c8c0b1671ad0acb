/**
 * The stream-reset trap: Envoy ends each ext_proc stream with RST_STREAM, and Node's HTTP/2
 * answers the 1,000th of a connection with GOAWAY, which fails requests. The guard of our bootstrap ends the resets;
 * where it cannot be set, max_requests_per_connection keeps below the thousand. test/long sends 20,000 streams, and
 * those without the guard.
 */
import t from "tap";
import { runStreams } from "../soak/streams.js";

t.setTimeout(120_000);

t.test("our bootstrap: 2,000 streams over one connection, no reset, no failure", async (t) => {
	const { failed, resets, connections } = await runStreams(t, 2_000, {});
	t.equal(failed, 0);
	t.equal(resets, 0);
	t.equal(connections, 1);
});
