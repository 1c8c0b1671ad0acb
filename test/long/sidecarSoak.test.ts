/** The soak of the sidecar: 200,000 ext_proc streams over one connection, and minutes of random kills under traffic. */
import t from "tap";
import { PROTOCOLS } from "../failure/stage.js";
import { chaos } from "../soak/chaos.js";
import { runStreams } from "../soak/streams.js";

t.setTimeout(1_800_000);

t.test("200,000 streams over one connection to the sidecar, no reset, no failure", async (t) => {
	t.setTimeout(1_200_000);
	const { failed, resets, connections } = await runStreams(t, 200_000, {});
	t.equal(failed, 0);
	t.equal(resets, 0);
	t.equal(connections, 1);
});

for (const protocol of PROTOCOLS)
	t.test(`${protocol}: two minutes of random kills`, async (t) => {
		t.setTimeout(300_000);
		await chaos(t, { protocol, forMs: 120_000, open: 12 });
	});
