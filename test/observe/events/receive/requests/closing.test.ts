/** Ingest's end: it does not wait for open requests, and no exposure settles meanwhile. */

import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import t from "tap";
import { ACCESS_LOG_COMMIT_MS } from "../../../../../src/observe/events/receive/requests/intake.js";
import { EXPOSURE_SETTLES_MS } from "../../../../../src/observe/events/receive/requests/settlingExposures.js";
import { EVENTS_DRAIN_MS } from "../../../../../src/observe/events/server.js";
import { metric, query, type Rig, startRig, unitsOf } from "../../rig.js";

/** A query whose body is still to come: ingest has read its head. */
async function begun({ httpSocket }: Rig, body: string): Promise<ClientRequest> {
	const headers = { expect: "100-continue", "content-length": Buffer.byteLength(body) };
	const asked = request({ socketPath: httpSocket, method: "POST", path: "/evidence", headers });
	asked.flushHeaders();
	await once(asked, "continue");
	return asked;
}

t.test("a query in progress is answered at shutdown, and its connection closed", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const body = JSON.stringify(query(metric("errors")));
	const asked = await begun(rig, body);
	const closed = rig.ingest.close();
	await new Promise(setImmediate);
	asked.end(body);
	const [answer] = (await once(asked, "response")) as [IncomingMessage];
	answer.resume();
	t.equal(answer.headers.connection, "close");
	await closed;
	await rig.reopen();
});

t.test("a request without its body is aborted, and no exposure settles meanwhile", { timeout: 60_000 }, async (t) => {
	const rig = await startRig({ exposureSettlesMs: EXPOSURE_SETTLES_MS });
	t.teardown(() => rig.close());
	const [early = "", late = ""] = unitsOf("control", 2);
	const sendStart = (unit: string) => {
		const one = { requestId: unit, startMs: rig.nowMs, plan: "claim" };
		return rig.send([
			{ ...one, kind: "start", unit: null },
			{ ...one, kind: "sent", unit },
		]);
	};
	await sendStart(early);
	rig.nowMs += 60_000;
	await sendStart(late);
	const asked = await begun(rig, "{}");
	const lost = once(asked, "error");
	const closed = rig.ingest.close();
	await new Promise(setImmediate);
	// Time goes on for longer than a commit waits, and others of those seconds are not heard of.
	t.ok(EVENTS_DRAIN_MS > ACCESS_LOG_COMMIT_MS);
	rig.nowMs += 60_000;
	await closed;
	t.match(await lost, [{ code: "ECONNRESET" }]);
	await rig.reopen();
	const { exposures } = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.match(exposures[0]?.counts, { control: 1 });
});
