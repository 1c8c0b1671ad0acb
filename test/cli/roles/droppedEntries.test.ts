/** The ingest role reads Envoy's own count of dropped access-log entries, and counts them as lost. */
import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import { startIngestRole } from "../../../src/cli/roles/ingest.js";
import { places } from "../../../src/cli/stack/places.js";
import { DROPPED_COUNTER } from "../../../src/observe/agent/accessLogLosses.js";
import { COUNTERS } from "../../../src/observe/events/meter.js";
import { temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

t.test("entries that Envoy dropped are counted as undelivered", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	let dropped = 5;
	const admin = createServer((_, response) => {
		response.end(`${DROPPED_COUNTER}: ${dropped}\n`);
		dropped = 8;
	});
	await new Promise<void>((resolve) => admin.listen(at.envoyAdminSocket, resolve));
	t.teardown(() => admin.close());
	const context = roleContext(at, "ingest");
	const ingest = await startIngestRole(context);
	t.teardown(() => ingest.close());
	const counted = async (): Promise<number | undefined> => {
		const lines = (await context.meter.text()).split("\n");
		const line = lines.find((one) => one.startsWith(COUNTERS.entries.name) && one.includes('result="undelivered"'));
		return line === undefined ? undefined : Number(line.split(" ").at(-1));
	};
	for (let tries = 0; (await counted()) !== 3 && tries < 200; tries++)
		await new Promise((resolve) => setTimeout(resolve, 25));
	t.equal(await counted(), 3);
});
