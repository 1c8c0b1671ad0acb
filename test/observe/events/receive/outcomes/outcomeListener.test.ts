/** Senders without a Metric are refused before their body is read, with one short log line. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { OUTCOMES_ROWS_MAX } from "../../../../../src/observe/events/receive/outcomes/outcomeBody.js";
import { CALLER_HEADER, encodeCaller } from "../../../../../src/observe/events/receive/outcomes/sender.js";
import { idOf } from "../../ownIdentity.js";
import { METRICS, type Rig, seriesKey, startRig } from "../../rig.js";

const TRAINER = idOf("trainer");
const MALLORY = idOf("mallory");
const GRANTED = METRICS.map((one) => (one.name === "accuracy" ? { ...one, senders: [TRAINER] } : one));
const ROW = { metric: "accuracy", value: 1, unit: "user-1" };
const as = (id: string) => ({ [CALLER_HEADER]: encodeCaller(id) });

/** Reason, sender, Metric and count of each record, sorted. */
async function refusals(rig: Rig): Promise<readonly string[]> {
	const { decisions } = (await rig.call("GET", "/v1/requests?kind=outcome-refused", "")).json as AccessRecordsAnswer;
	return decisions.map(({ reason, principal, policy, count }) => `${reason} ${principal} ${policy} ${count}`).sort();
}

/** A request whose body does not come. @returns the status of its answer */
async function headAlone(rig: Rig, id: string, type = "application/json"): Promise<string | undefined> {
	const socket: Socket = connect(rig.httpSocket);
	const head = [`${CALLER_HEADER}: ${encodeCaller(id)}`, `content-type: ${type}`, "content-length: 1000"];
	socket.write(`${["POST /v1/outcomes HTTP/1.1", "host: ingest", ...head].join("\r\n")}\r\n\r\n`);
	const [answer] = await once(socket.setEncoding("latin1"), "data");
	socket.destroy();
	return /^HTTP\/1.1 (\d+)/.exec(answer)?.[1];
}

t.test("a sender in no Metric is refused before its body arrives", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	t.equal(await headAlone(rig, MALLORY), "403");
	t.equal(await headAlone(rig, MALLORY, "text/plain"), "403", "before its content type is checked");
	t.equal(await headAlone(rig, TRAINER, "text/plain"), "415", "the refusal names the accepted types");
	const bodies = [ROW, { ...ROW, nonsense: 1 }, [], "{", "null", Array(OUTCOMES_ROWS_MAX + 1).fill(ROW)];
	for (const body of bodies)
		t.equal((await rig.post(body, as(MALLORY))).status, 403, JSON.stringify(body).slice(0, 60));
	const labels = { reason: "sender-not-granted" };
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_refused_outcomes_total", labels)), 2 + bodies.length);
	t.same(await refusals(rig), [`sender-not-granted ${MALLORY} null 1`], "the first at once");
	await rig.restart();
	t.same(
		await refusals(rig),
		[`sender-not-granted ${MALLORY} null 1`, `sender-not-granted ${MALLORY} null ${1 + bodies.length}`],
		"and the others with their number",
	);
});

t.test("if no Metric names a sender, only the owner's outcomes are accepted", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	t.equal(await headAlone(rig, TRAINER), "403");
	t.equal((await rig.post(ROW)).status, 200);
});

t.test("a row that its sender may not post is refused as sender-not-granted, even if it is also invalid", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	for (const row of [{ metric: "revenue", nonsense: 1 }, { nonsense: 1, metric: "p99" }, { nonsense: 1 }])
		t.equal((await rig.post([ROW, row], as(TRAINER))).status, 403, JSON.stringify(row));
	t.same(await refusals(rig), [
		`sender-not-granted ${TRAINER} null 1`,
		`sender-not-granted ${TRAINER} p99 2`,
		`sender-not-granted ${TRAINER} revenue 2`,
	]);
	const own = [
		[{ ...ROW, nonsense: 1 }, "unknown-field"],
		[JSON.parse(`{"__proto__": {}, "metric": "accuracy", "value": 1, "unit": "u"}`), "unknown-field"],
		[null, "not-an-object"],
	] as const;
	for (const [row, code] of own)
		t.match(await rig.post([row], as(TRAINER)), { status: 422, json: { refused: [{ code }] } }, code);
});

t.test("a sender that was just declared is accepted", async (t) => {
	let declared = METRICS;
	const rig = await startRig({ metrics: async () => declared });
	t.teardown(() => rig.close());
	t.equal((await rig.post(ROW, as(TRAINER))).status, 403);
	declared = GRANTED;
	t.equal((await rig.post(ROW, as(TRAINER))).status, 200);
});
