/** The guard of our bootstrap against the stream-reset trap over more streams than test/failure/streamReset sends. */
import t from "tap";
import { runStreams } from "../soak/streams.js";

t.setTimeout(300_000);

t.test("our bootstrap: 20,000 streams over one connection, no reset, no failure", { timeout: 240_000 }, async (t) => {
	const { failed, resets, connections } = await runStreams(t, 20_000, {});
	t.same({ failed, resets, connections }, { failed: 0, resets: 0, connections: 1 });
});
