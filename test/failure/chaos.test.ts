/** The sidecar is killed at random moments and restarted, under traffic. */
import t from "tap";
import { chaos } from "../soak/chaos.js";
import { PROTOCOLS } from "./stage.js";

t.setTimeout(120_000);
t.jobs = PROTOCOLS.length;

for (const protocol of PROTOCOLS)
	t.test(`${protocol}: random kills under traffic`, async (t) => {
		await chaos(t, { protocol, forMs: 4_000, open: 6, betweenMs: 10 });
	});
