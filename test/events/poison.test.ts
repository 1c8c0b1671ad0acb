/** One entry of one Envoy that the store cannot hold: it is left out and told of, and everybody else's evidence goes on. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type AccessLogEntry, decodeMessage } from "../../src/events/accessLog/accessLogEntry.js";
import { entryFault } from "../../src/events/accessLog/entryFault.js";
import { PlanReader } from "../../src/events/accessLog/planReader.js";
import { DecisionLog } from "../../src/events/decisions/decisionLog.js";
import type { DecisionsAnswer } from "../../src/events/decisions/decisionQuery.js";
import { Intake } from "../../src/events/intake.js";
import { COUNTERS } from "../../src/events/meter.js";
import { OutcomeCommit } from "../../src/events/outcomes/outcomeCommit.js";
import type { OutcomeRow } from "../../src/events/outcomes/outcomeRow.js";
import { openEventStore } from "../../src/events/store/store.js";
import { grpcPeerSpiffeId } from "../../src/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../src/identity/nodeTls.js";
import { createDevelopmentCa } from "../identity/developmentCa.js";
import { AccessLogStream, streamOverTls } from "./accessLogStream.js";
import { idOf, ownIdentity, TRUST_DOMAIN } from "./ownIdentity.js";
import { POISON, poisoned, RECEIVED_SECONDS, SOUND } from "./poison.js";
import { encode, PLANS, query, type Rig, sent, seriesKey, startRig, TestMeter, unitsOf } from "./rig.js";

const RECEIVED_MS = Number(RECEIVED_SECONDS) * 1e3;

function only(message: Buffer): AccessLogEntry {
	const entries: AccessLogEntry[] = [];
	decodeMessage(message, (entry) => entries.push(entry));
	const [entry] = entries;
	if (entry === undefined || entries.length > 1) throw new Error("not one entry");
	return entry;
}

const named = (numbers: object): string =>
	JSON.stringify(numbers, (_, value) => (typeof value === "bigint" ? String(value) : value));

t.test("which numbers an Envoy may write", (t) => {
	for (const [of, numbers] of POISON) t.equal(entryFault(only(poisoned(numbers)), RECEIVED_MS), of, named(numbers));
	for (const numbers of SOUND) t.equal(entryFault(only(poisoned(numbers)), RECEIVED_MS), null, named(numbers));
	t.end();
});

async function exposed(rig: Rig): Promise<number | undefined> {
	const { arms } = await rig.ingest.evidence.evidence(query());
	return arms.find(({ arm }) => arm === "boosted")?.exposedUnits;
}

t.test("of another Envoy, over mTLS: evidence goes on after each, and the loss is told", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const identity = await ownIdentity(ca, "control");
	const gateways: Readonly<Record<string, readonly string[]>> = { edge: ["edge"], tenant: ["tenant/gw"] };
	const rig = await startRig({
		accessLogTcp: {
			address: "127.0.0.1",
			port: 0,
			tls: mutualTls(identity),
			admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
			peer: (call) => grpcPeerSpiffeId(call, identity),
			trust: { trustDomain: TRUST_DOMAIN, gatewaysOf: (envoy) => gateways[envoy] ?? [] },
		},
	});
	t.teardown(() => rig.close());
	rig.nowMs = RECEIVED_MS;
	const stream = async (node: string, ...messages: readonly Buffer[]): Promise<number> => {
		const own = await ca.issue({ spiffeId: idOf(`envoy/${node}`) });
		return streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, own, messages);
	};
	const tenant = { node: "tenant", log: "weir|tenant/gw" };
	const edge = { node: "edge", log: "weir|edge" };
	const units = unitsOf("boosted", POISON.length + 1);
	for (const [index, [, numbers]] of POISON.entries()) {
		t.equal(await stream("tenant", poisoned(numbers, { from: tenant })), 0);
		t.equal(await stream("edge", encode(sent(units[index] ?? "", "p1", RECEIVED_MS), edge)), 0);
		t.equal(await exposed(rig), index + 1, named(numbers));
	}
	const { droppedEntries } = await rig.ingest.evidence.evidence(query());
	t.equal(droppedEntries, POISON.length);
	t.equal(rig.meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "unreadable" })), POISON.length);
	t.equal(rig.lines.length, POISON.length, "each stream is told of");
	t.match(rig.lines[0], /impossible numbers.*"status".*weir\/envoy\/tenant.*tenant\/gw/);
	// As many as one likes in one stream: one line, and those of nobody's route are no loss.
	const foreign = POISON.map(([, numbers], at) =>
		poisoned(numbers, { routeName: "theirs", ...(at === 0 ? { from: tenant } : {}) }),
	);
	t.equal(await stream("tenant", ...foreign), 0);
	t.equal(await stream("edge", encode(sent(units.at(-1) ?? "", "p1", RECEIVED_MS), edge)), 0);
	t.equal(await exposed(rig), units.length);
	t.equal((await rig.ingest.evidence.evidence(query())).droppedEntries, POISON.length);
	t.equal(rig.lines.length, POISON.length + 1);
	t.notMatch(rig.lines.join(), /poison/, "neither unit nor request");
});

t.test("the decision log goes on", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	rig.nowMs = RECEIVED_MS;
	const stream = new AccessLogStream(rig.accessLogSocket);
	for (const [, numbers] of POISON) await stream.write(poisoned(numbers));
	await stream.write(poisoned({}));
	await stream.end();
	const { status, json } = await rig.call("GET", "/v1/requests", "");
	t.equal(status, 200);
	t.match((json as DecisionsAnswer).decisions, [{ kind: "denied", status: 403 }]);
	t.equal((json as DecisionsAnswer).decisions.length, 1);
});

/** Behind the door's check, as if that had a hole. */
async function behind(t: Test) {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-poison-")));
	t.teardown(() => store.close());
	const meter = new TestMeter();
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	await plans.load("p1");
	const lines: string[] = [];
	const line = (...words: readonly unknown[]): void => void lines.push(JSON.stringify(words));
	const options = { store, plans, clock: () => RECEIVED_MS, meter, log: { info: line, warn: line, error: line } };
	const rows = (sql: string) => store.analysis.transaction((transaction) => transaction.rows(sql));
	return { ...options, lines, rows, options };
}

t.test("a row that the store cannot hold is left out of its commit, and is a loss", async (t) => {
	const { options, meter, lines, rows } = await behind(t);
	const intake = new Intake({ ...options, exposureSettlesMs: Number.NEGATIVE_INFINITY });
	const [first = "", second = "", third = ""] = unitsOf("boosted", 3);
	const offer = (message: Buffer): void =>
		decodeMessage(message, (entry) => intake.offer({ entry, receivedMs: RECEIVED_MS, gateway: null }));
	offer(encode(sent(first, "p1", RECEIVED_MS)));
	offer(poisoned({ status: 70_000 }, { unit: third }));
	// A start: its row and its exposure.
	offer(poisoned({ start: { seconds: 2n ** 60n } }, { unit: third, kind: 4 }));
	offer(encode(sent(second, "p1", RECEIVED_MS)));
	await intake.flush();
	t.equal(intake.waiting, 0);
	t.match(await rows("SELECT count(*) AS n FROM entries"), [{ n: 4n }]);
	t.match(await rows("SELECT count(*) AS n FROM units"), [{ n: 2n }]);
	t.match(await rows("SELECT sum(entries)::INTEGER AS n, count(DISTINCT reason) AS reasons FROM losses"), [
		{ n: 3, reasons: 1n },
	]);
	t.equal(meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "stored" })), 4);
	t.match(lines.join("\n"), /cannot hold 2 of the rows/);
	t.notMatch(lines.join("\n"), new RegExp(`${third}|poison|70000`));
	offer(encode(sent(third, "p1", RECEIVED_MS)));
	await intake.flush();
	t.match(await rows("SELECT count(*) AS n FROM units"), [{ n: 3n }]);
	t.match(await rows("SELECT count(*) AS n FROM entries"), [{ n: 6n }]);
	await intake.close();
});

t.test("a decision record that the store cannot hold is left out, and counted", async (t) => {
	const { options, meter, rows } = await behind(t);
	const decisions = new DecisionLog({ ...options, allowedPpm: 0 });
	for (const numbers of [{}, { status: 70_000 }, { start: { seconds: 2n ** 60n } }, { status: 401 }]) {
		decisions.request(only(poisoned(numbers)), RECEIVED_MS, null);
	}
	await decisions.queue.flush();
	t.match(await rows("SELECT status FROM decisions ORDER BY id"), [{ status: 403 }, { status: 401 }]);
	const count = (result: string) => meter.counts.get(seriesKey(COUNTERS.decisions.name, { kind: "denied", result }));
	t.equal(count("stored"), 2);
	t.equal(count("unfit"), 2);
	decisions.request(only(poisoned({ status: 404 })), RECEIVED_MS, null);
	await decisions.queue.flush();
	t.match(await rows("SELECT count(*) AS n FROM decisions"), [{ n: 3n }]);
	await decisions.queue.close();
});

t.test("outcomes that the store cannot hold are refused to their sender; those beside them are stored", async (t) => {
	const { options, meter, rows } = await behind(t);
	const commit = new OutcomeCommit(options);
	const row = { metric: "m", unit: 1n, request: null, experiment: null, value: 1, receivedMs: RECEIVED_MS };
	const submit = (answer: string, ...times: readonly number[]) =>
		commit.submit({
			rows: times.map((eventMs): OutcomeRow => ({ ...row, eventMs })),
			idempotency: { key: BigInt(times[0] === 1 ? 1 : 2), body: answer },
			status: 200,
			answer,
		});
	const [good, bad] = await Promise.allSettled([submit("good", 1, 2), submit("bad", 3, 1e30)]);
	t.match(good, { status: "fulfilled", value: { body: "good", replayed: false } });
	t.match(bad, { status: "rejected", reason: { code: "invalid-argument", hint: /nothing of this request/ } });
	t.match(await rows("SELECT event_ms FROM outcomes ORDER BY event_ms"), [{ event_ms: 1n }, { event_ms: 2n }]);
	t.equal(meter.counts.get(seriesKey(COUNTERS.outcomes.name, { result: "unfit" })), 2);
	t.match(await submit("mended", 3, 4), { body: "mended", replayed: false }, "its key was not used up");
	t.match(await rows("SELECT count(*) AS n FROM outcomes"), [{ n: 4n }]);
	await t.rejects(commit.submit({ rows: [{ ...row, eventMs: 1.5 }], idempotency: null, status: 200, answer: "" }), {
		code: "invalid-argument",
	});
	await commit.close();
});
