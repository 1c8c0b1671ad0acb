/** What /readyz notes of control's own disk, and of that alone: no reason to send nobody here, nor a cause in words. */
import t from "tap";
import type { PublicDoor } from "../../src/state/api/publicDoor.js";
import { readiness } from "../../src/state/api/readiness.js";

t.test("what control's disk does not take is a note", async (t) => {
	const alarms = ["state-unwritten", "events-unwritten", "plan-unkept", "identity-unrenewed"].map((alarm) => ({
		gateway: "",
		alarm,
		why: "a cause",
	}));
	const door = (
		standing: typeof alarms,
		own: typeof alarms = [],
		probed: () => Promise<unknown> = async () => standing,
	) =>
		({
			store: { proxies: { proxies: [] } },
			ready: () => [],
			publication: { lag: () => null },
			alarms: probed,
			ownAlarms: async () => own,
			now: () => 0,
		}) as unknown as PublicDoor;
	t.match(await readiness(door([])), { status: 200, text: /^ready\n$/ });
	t.match(await readiness(door(alarms)), {
		status: 200,
		text: [
			"ready",
			"note: control's disk takes no more of the state (weir status)",
			"note: ingest's disk does not take what it hears (weir status)",
			"note: an identity of control or of its sidecar is not renewed (weir status)",
			"note: what Envoys are given is not on control's disk (weir status)",
			"",
		].join("\n"),
	});
	const own = alarms.slice(3);
	const hangs = () => new Promise(() => {});
	const alive = setInterval(() => {}, 1_000);
	t.teardown(() => clearInterval(alive));
	for (const probed of [async () => null, hangs])
		t.match(await readiness(door([], own, probed)), { text: /^ready\nnote: an identity [^\n]*\n$/ }, "xds is away");
	t.match(await readiness(door(alarms.slice(2, 3))), { text: /^ready\nnote: what Envoys[^\n]*\n$/ });
});
