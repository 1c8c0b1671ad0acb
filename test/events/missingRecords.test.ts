/** Times of which the decision log lacks records are told by a record, by a counter and by an alarm. */
import { cp } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { droppedDecisions } from "../../src/cli/roles/unwrittenAlarms.js";
import { decodeMessage } from "../../src/events/accessLog/accessLogEntry.js";
import { PlanReader } from "../../src/events/accessLog/planReader.js";
import { readWholeMs } from "../../src/events/decisions/decisionAppend.js";
import { DecisionLog } from "../../src/events/decisions/decisionLog.js";
import type { DecisionsAnswer, ShownDecision } from "../../src/events/decisions/decisionQuery.js";
import { DecisionQueue } from "../../src/events/decisions/decisionQueue.js";
import { NOTHING_ELSE } from "../../src/events/decisions/decisionRecord.js";
import { MissingRecords } from "../../src/events/decisions/missingRecords.js";
import { NAMESPACES_HEADER } from "../../src/events/decisions/readNamespaces.js";
import { GAUGES } from "../../src/events/meter.js";
import { openEventStore } from "../../src/events/store/store.js";
import {
	DECISION_COMMIT_MS,
	DECISIONS_KEPT_MS,
	DECISIONS_WHOLE_MS,
	MISSING_NAMED_MAX,
	MISSING_OVER_MS,
	STREAM_ENDING_MS,
} from "../../src/limits.js";
import { AccessLogStream } from "./accessLogStream.js";
import { type Entry, encode, type Rig, seriesKey, startRig, TestMeter } from "./rig.js";

t.setTimeout(120_000);

const DENIED: Entry = {
	kind: "end",
	requestId: "11111111-1111-4111-8111-111111111111",
	startMs: 900_000,
	status: 403,
	codeDetails: "rbac_access_denied_matched_policy[none]",
};

async function asked(rig: Rig, query = ""): Promise<readonly ShownDecision[]> {
	const path = `/v1/requests?kind=records-missing${query}`;
	return ((await rig.call("GET", path, "")).json as DecisionsAnswer).decisions;
}

const seconds = (rig: Rig, reason: string): number =>
	rig.meter.counts.get(seriesKey("weir_ingest_decision_gap_seconds_total", { reason })) ?? 0;

t.test("a restart says from when to when records may be missing; a first start has missed nothing", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await rig.send([DENIED]);
	rig.nowMs = 1_010_000;
	t.same(await asked(rig), []);
	await rig.ingest.close();
	rig.nowMs = 1_070_000;
	await rig.reopen();
	t.match(await asked(rig), [
		{ reason: "ingest-away", atMs: 1_009_000, latencyMs: 62_000, count: 0, by: "ingest", service: null, gateway: null },
	]);
	t.equal(seconds(rig, "ingest-away"), 62);
	t.equal((await asked(rig, "&since=1040000")).length, 1, "it lasted until then");
	t.equal((await asked(rig, "&since=1080000")).length, 0);
	rig.ingest.undelivered(7, 1_065_000);
	await rig.restart();
	t.match(
		await asked(rig, "&reason=entries-dropped"),
		[{ atMs: 1_064_000, latencyMs: 6_000, count: 7 }],
		"by its Envoy",
	);
	await t.test(
		"told to who may read all, others that there is something, and kept as long as other records",
		async (t) => {
			const of = async (namespaces: string, query = "") =>
				(await rig.call("GET", `/v1/requests${query}`, "", { [NAMESPACES_HEADER]: namespaces }))
					.json as DecisionsAnswer;
			const { decisions, missing } = await of("default");
			t.notOk(decisions.some(({ kind }) => kind === "records-missing"));
			const away = { reason: "ingest-away", times: 2, fromMs: 1_009_000, untilMs: 1_071_000 };
			const dropped = { reason: "entries-dropped", times: 1, fromMs: 1_064_000, untilMs: 1_070_000 };
			t.same(missing, [away, dropped]);
			t.same(
				(await of("team", "?service=team/shop&reason=forbidden")).missing,
				[away, dropped],
				"whatever they look for",
			);
			t.same((await of("*")).missing, [away, dropped]);
			t.same((await of("default", "?since=1080000")).missing, undefined);
			t.same((await of("default", "?until=1030000")).missing, [{ ...away, times: 1, untilMs: 1_071_000 }]);
			rig.nowMs += DECISIONS_KEPT_MS + 1;
			await rig.ingest.maintain();
			t.same(await asked(rig), []);
		},
	);
});

t.test("what is committed tells until when the log is whole, also while nobody asks for anything", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	rig.nowMs = 1_200_000;
	await pause(DECISIONS_WHOLE_MS + 1_000);
	rig.nowMs = 1_900_000;
	/** As kill -9 leaves it: what is on disk by now. */
	const copy = join(rig.directory, "copy");
	await cp(join(rig.directory, "data"), copy, { recursive: true });
	const killed = await openEventStore(copy);
	t.equal(await killed.decisions.transaction(readWholeMs), 1_199_000);
	await killed.close();
});

t.test("a connection that broke and came again", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	/** A door that can be shut: what goes through it ends with no word, as when ingest's machine cannot be reached. */
	const sockets = new Set<{ destroy(): void }>();
	const relay = createServer((client) => {
		const to = connect(rig.accessLogSocket);
		for (const one of [client, to]) {
			sockets.add(one);
			one.on("error", () => undefined);
			one.on("close", () => {
				client.destroy();
				to.destroy();
			});
		}
		client.pipe(to).pipe(client);
	});
	const path = join(rig.directory, "relay.sock");
	await new Promise<void>((resolve) => relay.listen(path, resolve));
	t.teardown(() => relay.close());
	const message = encode([DENIED], { node: "edge", log: "weir|shop/edge" });
	const records = async () => ((await rig.call("GET", "/v1/requests", "")).json as DecisionsAnswer).decisions.length;
	const heard = async (count: number): Promise<void> => {
		while ((await records()) < count) await pause(20);
	};
	await new AccessLogStream(path).write(message);
	await heard(1);
	rig.nowMs = 1_100_000;
	for (const socket of sockets) socket.destroy();
	while (seconds(rig, "stream-broken") === 0) {
		await pause(50);
		// Once it is over for a while it is told.
		rig.nowMs += MISSING_OVER_MS;
	}
	const [gap] = await asked(rig);
	t.match(gap, { reason: "stream-broken", gateway: "shop/edge", count: 0 });
	// When its last sign of life was is up to this machine, and how soon the end is noticed.
	t.ok((gap?.atMs ?? 0) <= 1_099_000 && (gap?.atMs ?? 0) + (gap?.latencyMs ?? 0) >= 1_101_000, JSON.stringify(gap));

	await t.test("a stream that is reset on a connection that stays is a listener's that was replaced", async (t) => {
		const session = connectHttp2("http://ingest", { createConnection: () => connect(rig.accessLogSocket) });
		const framed = Buffer.concat([Buffer.alloc(5), encode([DENIED], { node: "edge", log: "weir|shop/other" })]);
		framed.writeUInt32BE(framed.length - 5, 1);
		const open = () => {
			const stream = session.request({
				":method": "POST",
				":path": "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
				"content-type": "application/grpc",
				te: "trailers",
			});
			stream.on("error", () => undefined).write(framed);
			return stream;
		};
		const before = await records();
		const first = open();
		await heard(before + 1);
		first.close(8);
		await pause(100);
		const second = open();
		await heard(before + 2);
		t.equal((await asked(rig)).length, 1, "no other than before");
		second.close(8);
		await t.test("but one that is reset just before its connection ends is that of an Envoy which ends", async (t) => {
			await pause(STREAM_ENDING_MS + 200);
			const third = open();
			await heard(before + 3);
			// Not close(), which ends it in order first.
			third.destroy(new Error("reset"));
			await pause(100);
			session.destroy();
			await pause(100);
			rig.nowMs += MISSING_OVER_MS + 2_000;
			while ((await asked(rig)).length < 2) await pause(50);
			t.match((await asked(rig))[0], { reason: "stream-broken", gateway: "shop/other" });
		});
	});
});

t.test("losses that last are told once a minute, and when they are over", (t) => {
	const missing = new MissingRecords();
	for (let atMs = 0; atMs <= 59_000; atMs += 1_000) missing.add("queue-full", 2, atMs, atMs);
	t.same(missing.take(59_500, false), []);
	t.match(missing.take(60_000, false), [
		{ kind: "records-missing", reason: "queue-full", atMs: 0, latencyMs: 59_000, count: 120 },
	]);
	t.same(missing.take(60_000, true), []);
	missing.add("unfit", 1, 100_000, 100_000);
	t.same(missing.take(104_999, false), []);
	t.match(missing.take(105_000, false), [{ reason: "unfit", count: 1 }]);
	const whose = (gateway: string) => ({ gateway, principal: "spiffe://weir.test/weir/envoy/edge" });
	for (let atMs = 0; atMs < 10_000; atMs += 40)
		for (const gateway of ["a", "b"]) missing.add("stream-broken", 0, 200_000 + atMs, 202_000 + atMs, whose(gateway));
	t.equal(missing.oldestMs, 200_000);
	t.match(
		missing.take(220_000, false),
		["a", "b"].map((gateway) => ({ reason: "stream-broken", gateway, atMs: 200_000, latencyMs: 11_960, count: 0 })),
		"a connection that flaps has one record for each Gateway",
	);
	t.equal(missing.oldestMs, null);
	t.end();
});

t.test("the log is not called whole past what is lost and not told yet", async (t) => {
	const rig = await startRig();
	await rig.ingest.close();
	const store = await openEventStore(join(rig.directory, "data"));
	t.teardown(() => store.close());
	let nowMs = 2_000_000;
	let sinceMs = Number.POSITIVE_INFINITY;
	const plans = new PlanReader(async () => null);
	const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
	const own = new DecisionLog({
		...{ store, plans, clock: () => nowMs, meter: new TestMeter(), log, allowedPpm: 0 },
		aliveSinceMs: () => sinceMs,
	});
	own.queue.listening();
	const whole = async (): Promise<number | null> => {
		own.queue.refused({ ...NOTHING_ELSE, atMs: nowMs, kind: "denied", reason: "forbidden" });
		await own.queue.flush();
		return store.decisions.transaction(readWholeMs);
	};
	t.equal(await whole(), 1_999_000);
	own.queue.lost("queue-full", 3);
	nowMs += 3_000;
	t.equal(await whole(), 1_999_000, "what was dropped, which has ended before");
	sinceMs = 1_990_000;
	t.equal(await whole(), 1_990_000, "who has given no sign of life since");
	await own.queue.close();
});

t.test(
	"at the end all is tried once more, and what is missing told, though the store took nothing until then",
	async (t) => {
		const store = await openEventStore(t.testdir());
		t.teardown(() => store.close());
		const { decisions } = store;
		const write = decisions.transaction.bind(decisions);
		const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
		const denied = { ...NOTHING_ELSE, atMs: 1_000, kind: "denied", reason: "forbidden" } as const;
		const kinds = (): Promise<readonly string[]> =>
			write(async (transaction) => {
				const rows = await transaction.rows("SELECT kind FROM decisions ORDER BY kind");
				return rows.map(({ kind }) => String(kind));
			});
		const ended = async (max: number, meanwhile: (queue: DecisionQueue) => void): Promise<readonly string[]> => {
			const queue = new DecisionQueue({ store, clock: () => 2_000_000, meter: new TestMeter(), log }, max);
			queue.listening();
			let refuse = (): void => {};
			const refused = new Promise<never>((_, reject) => (refuse = () => reject(new Error("the disk is full"))));
			decisions.transaction = () => refused;
			const before = await kinds();
			const lost = t.rejects(queue.always([denied]));
			await new Promise(setImmediate);
			decisions.transaction = write;
			meanwhile(queue);
			const closed = queue.close();
			refuse();
			await lost;
			await closed;
			return (await kinds()).slice(before.length);
		};
		t.same(await ended(0, () => {}), ["records-missing"], "the one that had no room");
		await write((transaction) => transaction.rows("DELETE FROM decisions"));
		t.same(await ended(9, (queue) => queue.refused(denied)), ["denied", "denied"]);

		await t.test("also what a commit that waits for a plan is refused", async (t) => {
			const queue = new DecisionQueue({ store, clock: () => 2_000_000, meter: new TestMeter(), log }, 9);
			const before = await kinds();
			let come = (): void => {};
			queue.hold(new Promise<void>((resolve) => (come = resolve)), () => queue.refused(denied));
			const lost = t.rejects(queue.flush());
			decisions.transaction = async () => {
				decisions.transaction = write;
				throw new Error("the disk is full");
			};
			const closed = queue.close();
			come();
			await lost;
			await closed;
			t.equal((await kinds()).length, before.length + 1);
		});

		await t.test("and no more after that", async (t) => {
			const queue = new DecisionQueue({ store, clock: () => 2_000_000, meter: new TestMeter(), log }, 9);
			let tries = 0;
			decisions.transaction = async () => {
				tries++;
				throw new Error("the disk is full");
			};
			t.teardown(() => (decisions.transaction = write));
			queue.refused(denied);
			await t.rejects(queue.close());
			queue.refused(denied);
			await pause(2 * DECISION_COMMIT_MS);
			t.equal(tries, 1);
		});
	},
);

t.test("of too many Envoys and Gateways at once it is told together", (t) => {
	const missing = new MissingRecords();
	const add = (gateway: string) =>
		missing.add("stream-broken", 0, 1_000, 2_000, { gateway, principal: "spiffe://weir.test/weir/envoy/edge" });
	for (let index = 0; index < MISSING_NAMED_MAX + 2; index++) add(`g${index}`);
	add("g0");
	const told = missing.take(2_000, true);
	t.equal(told.length, MISSING_NAMED_MAX + 1);
	t.match(told.at(-1), { gateway: null, principal: null });
	t.end();
});

t.test("what waits for its plan is not called whole, and the plan is asked for once", async (t) => {
	const store = await openEventStore(t.testdir());
	t.teardown(() => store.close());
	const { decisions } = store;
	const write = decisions.transaction.bind(decisions);
	let writes = 0;
	decisions.transaction = async (work) => {
		const result = await write(work);
		writes++;
		return result;
	};
	let release: () => void = () => undefined;
	const released = new Promise<null>((resolve) => {
		release = () => resolve(null);
	});
	let nowMs = 2_000_000;
	const asked: string[] = [];
	const plans = new PlanReader(async () => null);
	plans.load = (version) => {
		asked.push(version);
		return released;
	};
	const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
	const own = new DecisionLog({ store, plans, clock: () => nowMs, meter: new TestMeter(), log, allowedPpm: 0 });
	own.queue.listening();
	own.queue.refused({ ...NOTHING_ELSE, atMs: nowMs, kind: "denied", reason: "forbidden" });
	await own.queue.flush();
	decodeMessage(encode([{ ...DENIED, plan: "p8" }]), (entry) => own.request(entry, nowMs, null));
	t.same(asked, ["p8"]);
	nowMs = 2_500_000;
	for (const before = writes; writes < before + 1; ) await pause(50);
	t.equal(await write(readWholeMs), 1_999_000);
	release();
	await own.queue.flush();
	t.equal(await write(readWholeMs), 2_499_000);
	t.same(asked, ["p8"], "nobody knows it: it is not asked for again");
	await own.queue.close();
});

t.test(
	"of what is missing one record is kept, however long the store takes nothing and however full the queue",
	async (t) => {
		const store = await openEventStore(t.testdir());
		t.teardown(() => store.close());
		const plans = new PlanReader(async () => null);
		const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
		let nowMs = 2_000_000;
		const options = { store, plans, clock: () => nowMs, meter: new TestMeter(), log, allowedPpm: 0 };
		const former = new DecisionLog(options);
		former.queue.listening();
		await former.queue.close();
		const { decisions } = store;
		const write = decisions.transaction.bind(decisions);
		let failed = 0;
		const own = new DecisionLog(options, 3);
		await own.recall();
		decisions.transaction = () => {
			failed++;
			// What comes meanwhile takes the room of what is given back.
			own.queue.refused({ ...NOTHING_ELSE, atMs: 900, kind: "denied", reason: "forbidden" });
			return Promise.reject(new Error("no space left on device"));
		};
		nowMs += 60_000;
		own.queue.listening();
		const beat = async () => {
			for (let index = 0; index < 5; index++) {
				// Older than the time that is missing: first in the queue.
				own.queue.refused({ ...NOTHING_ELSE, atMs: 1_000 + index, kind: "denied", reason: "forbidden" });
			}
			const before = failed;
			await own.queue.flush().catch(() => undefined);
			nowMs += 2 * MISSING_OVER_MS;
			while (failed < before + 2) await pause(50);
		};
		await beat();
		await beat();
		decisions.transaction = write;
		await own.queue.close();
		const rows = await store.questions.transaction((transaction) =>
			transaction.rows("SELECT reason FROM decisions WHERE kind = 'records-missing' ORDER BY reason"),
		);
		t.same(
			rows.map(({ reason }) => reason),
			["ingest-away", "queue-full"],
		);
	},
);

t.test("records that a full disk or a full queue dropped", async (t) => {
	const rig = await startRig();
	await rig.ingest.close();
	const store = await openEventStore(join(rig.directory, "data"));
	t.teardown(async () => {
		await store.close();
	});
	const meter = new TestMeter();
	let nowMs = 2_000_000;
	let full = true;
	const { decisions } = store;
	const write = decisions.transaction.bind(decisions);
	decisions.transaction = (work) => (full ? Promise.reject(new Error("no space left on device")) : write(work));
	const plans = new PlanReader(async () => null);
	const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
	const own = new DecisionLog({ store, plans, clock: () => nowMs, meter, log, allowedPpm: 0 }, 3);
	own.queue.listening();
	const dropping = () => [...meter.gauges].find(([key]) => key.startsWith(GAUGES.dropping.name))?.[1];
	for (let index = 0; index < 8; index++) {
		nowMs += 10;
		own.queue.refused({ ...NOTHING_ELSE, atMs: nowMs, kind: "denied", reason: "forbidden" });
	}
	await t.rejects(own.queue.flush());
	await pause(50);
	t.equal(dropping(), 1, "weir status says so meanwhile");
	nowMs += 10_000;
	// It is to be told now, and there is no room.
	await pause(DECISIONS_WHOLE_MS + 500);
	full = false;
	await own.queue.close();
	const rows = await store.questions.transaction((transaction) =>
		transaction.rows("SELECT kind, reason, at_ms, latency_ms, count FROM decisions ORDER BY id"),
	);
	t.equal(rows.filter(({ kind }) => kind === "denied").length, 3);
	t.match(
		rows.filter(({ kind }) => kind === "records-missing").map((row) => ({ ...row, count: Number(row.count) })),
		[{ reason: "queue-full", count: 5 }],
	);
	t.equal(dropping(), 0);
});

t.test("the alarm of weir status", (t) => {
	const gauge = (value: number) => ({ metrics: [{ name: GAUGES.dropping.name, values: [{ value, labels: {} }] }] });
	t.same(droppedDecisions(gauge(1) as never), [{ gateway: "", alarm: "decisions-dropped", why: null }]);
	t.same(droppedDecisions(gauge(0) as never), []);
	t.same(droppedDecisions(null), []);
	t.end();
});
