/** /readyz has notes on control's disk: they do not make it unready, and give no cause. */
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { controlAlarms } from "../../../src/cli/roles/controlAlarms.js";
import { IDENTITY_GAUGES } from "../../../src/cli/stack/renewal.js";
import { createMeter } from "../../../src/observe/telemetry/meter.js";
import type { ApiServices } from "../../../src/operate/api/publicRoutes.js";
import { readiness } from "../../../src/operate/api/readiness.js";
import { temporaryDirectory } from "../../cli/command.js";

const sourcesWith = (asked: Pick<ApiServices, "alarms"> & Partial<ApiServices>): ApiServices =>
	({
		store: { proxies: { proxies: [] } },
		ready: () => [],
		lag: () => null,
		now: () => 0,
		...asked,
	}) as unknown as ApiServices;

t.test("failed writes to control's disk are a note", async (t) => {
	const alarms = ["state-unwritten", "events-unwritten", "plan-unkept", "identity-unrenewed"].map((alarm) => ({
		gateway: "",
		alarm,
		why: "a cause",
	}));
	const sources = (standing: typeof alarms) => sourcesWith({ alarms: async () => standing });
	t.match(await readiness(sources([])), { status: 200, text: /^ready\n$/ });
	t.match(await readiness(sources(alarms)), {
		status: 200,
		text: [
			"ready",
			"note: writes to control's state fail (weir status)",
			"note: writes to ingest's store fail (weir status)",
			"note: an identity of control or of its sidecar is not renewed (weir status)",
			"note: the plan in force is not stored on control's disk (weir status)",
			"",
		].join("\n"),
	});
	t.match(await readiness(sources(alarms.slice(2, 3))), { text: /^ready\nnote: the plan in force[^\n]*\n$/ });
});

t.test("readiness does not wait for processes that hang", async (t) => {
	const held = new Set<Socket>();
	const hangs = createServer((socket) => void held.add(socket));
	const path = join(await temporaryDirectory(t), "hangs.sock");
	await new Promise<void>((resolve) => hangs.listen(path, resolve));
	t.teardown(() => {
		for (const socket of held) socket.destroy();
		hangs.close();
	});
	const meter = createMeter({ role: "control" });
	meter.gauge(IDENTITY_GAUGES.unrenewed.name, IDENTITY_GAUGES.unrenewed.help, 1);
	const sockets = {
		ingestSocket: path,
		sidecarMetricsSocket: path,
	};
	const database = { unwritten: () => "no room" };
	const sources = sourcesWith({ alarms: (tooLate) => controlAlarms(sockets, meter, database, tooLate) });
	// Ingest is waited for 2 s elsewhere.
	const answered = await Promise.race([readiness(sources), pause(1_500, null, { ref: false })]);
	t.match(answered, { text: /^ready\nnote: writes to control's state fail[^\n]*\nnote: an identity [^\n]*\n$/ });
});
