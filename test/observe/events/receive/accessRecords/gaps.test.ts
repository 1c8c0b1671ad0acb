/** The access record log records the times for which it may lack records; ingest raises an alarm while it drops any. */

import { cp } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { droppedDecisions } from "../../../../../src/cli/roles/unwrittenAlarms.js";
import { GAUGES } from "../../../../../src/observe/events/meter.js";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { NOTHING_ELSE } from "../../../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { readCompleteUntilMs } from "../../../../../src/observe/events/receive/accessRecords/accessRecordAppend.js";
import {
	AccessRecordQueue,
	ENVOY_NOTICED_MS,
} from "../../../../../src/observe/events/receive/accessRecords/accessRecordQueue.js";
import {
	GAP_ENVOYS_MAX,
	GAP_MARGIN_MS,
	GAP_OVER_MS,
	Gaps,
} from "../../../../../src/observe/events/receive/accessRecords/gaps.js";
import { openEventStore } from "../../../../../src/observe/events/store/store.js";
import { AccessLogStream } from "../../accessLogStream.js";
import { type Entry, encode, type Rig, startRig, TestMeter } from "../../rig.js";

t.setTimeout(120_000);

const DENIED: Entry = {
	kind: "end",
	requestId: "11111111-1111-4111-8111-111111111111",
	startMs: 900_000,
	status: 403,
	codeDetails: "rbac_access_denied_matched_policy[none]",
};

async function asked(rig: Rig, query = ""): Promise<readonly ShownAccessRecord[]> {
	const path = `/v1/requests?kind=records-missing${query}`;
	return ((await rig.call("GET", path, "")).json as AccessRecordsAnswer).decisions;
}

t.test("a restart records from when to when records may be missing; a first start has missed nothing", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await rig.send([DENIED]);
	rig.nowMs = 1_020_000;
	t.same(await asked(rig), []);
	await rig.ingest.close();
	rig.nowMs = 1_070_000;
	await rig.reopen();
	const away = { reason: "not-received", count: 0, by: "ingest", service: null, gateway: null, principal: null };
	// An Envoy that cannot be reached is noticed so much later.
	const fromMs = 1_020_000 - ENVOY_NOTICED_MS - GAP_MARGIN_MS;
	const latencyMs = 1_070_000 + GAP_MARGIN_MS - fromMs;
	t.match(await asked(rig), [{ ...away, atMs: fromMs, latencyMs }]);
	t.equal((await asked(rig, "&since=1040000")).length, 1, "it lasted until then");
	t.equal((await asked(rig, "&since=1080000")).length, 0);
	rig.ingest.undelivered(7, 1_065_000);
	await rig.restart();
	t.match(
		(await asked(rig)).find(({ count }) => count === 7),
		{
			...{ reason: "not-received", atMs: 1_065_000 - GAP_MARGIN_MS, latencyMs: 5_000 + 2 * GAP_MARGIN_MS },
		},
	);
});

/** Intercepts later setInterval calls. @returns runs their callbacks once */
function beats(t: Test): () => void {
	const runs: (() => void)[] = [];
	const value = (run: () => void) => {
		runs.push(run);
		return setTimeout(() => {}, 0);
	};
	t.intercept(globalThis, "setInterval", { value });
	return () => {
		for (const run of runs) run();
	};
}

t.test("commits show until when the log is complete, also without requests", async (t) => {
	const beat = beats(t);
	const rig = await startRig();
	t.teardown(() => rig.close());
	/** Reads the store from a copy of its files, as after kill -9. */
	const onDisk = async (copy: string): Promise<number | null> => {
		await cp(join(rig.directory, "data"), copy, { recursive: true });
		const killed = await openEventStore(copy);
		const found = await killed.accessRecords.transaction(readCompleteUntilMs);
		await killed.close();
		return found;
	};
	rig.nowMs = 1_200_000;
	beat();
	const wanted = 1_200_000 - ENVOY_NOTICED_MS;
	let found: number | null = null;
	for (let copies = 0; found !== wanted && copies < 200; copies++)
		found = await onDisk(join(rig.directory, String(copies)));
	t.equal(found, wanted);
});

t.test("a connection that broke and reconnected leaves a records-missing record", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	/** A relay whose connections can be cut without a message, as when ingest's machine is unreachable. */
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
	const records = async () =>
		((await rig.call("GET", "/v1/requests", "")).json as AccessRecordsAnswer).decisions.length;
	const heard = async (count: number): Promise<void> => {
		while ((await records()) < count) await pause(20);
	};
	await new AccessLogStream(path).write(message);
	await heard(1);
	rig.nowMs = 1_100_000;
	for (const socket of sockets) socket.destroy();
	let gap: ShownAccessRecord | undefined;
	while (gap === undefined) {
		await pause(50);
		// A gap is recorded some time after its end.
		rig.nowMs += GAP_OVER_MS;
		[gap] = await asked(rig);
	}
	t.match(gap, { reason: "not-received", gateway: "shop/edge", count: 0 });
	// The time of the last entry, and of noticing the end, depends on this machine.
	t.ok(gap.atMs <= 1_099_000 && gap.atMs + (gap.latencyMs ?? 0) >= 1_101_000, JSON.stringify(gap));
});

const of = (gateway: string) => ({ gateway, principal: "spiffe://weir.test/weir/envoy/edge" });

t.test("a gap is recorded when it is over, and once a minute while it lasts", (t) => {
	const gaps = new Gaps();
	for (let atMs = 0; atMs <= 58_000; atMs += 1_000) gaps.notStored(2, atMs, atMs);
	t.ok(gaps.dropping);
	t.same(gaps.take(58_500, false), []);
	t.match(gaps.take(60_000, false), [
		{ kind: "records-missing", reason: "not-stored", atMs: -1_000, latencyMs: 60_000, count: 118 },
	]);
	t.same(gaps.take(60_000, true), []);
	for (let atMs = 0; atMs < 10_000; atMs += 40)
		for (const gateway of ["a", "b"]) gaps.notReceived(of(gateway), 200_000 + atMs, 202_000 + atMs);
	t.equal(gaps.oldestMs, 199_000);
	t.match(
		gaps.take(220_000, false),
		["a", "b"].map((gateway) => ({ reason: "not-received", gateway, atMs: 199_000, latencyMs: 13_960, count: 0 })),
		"a connection that flaps has one record for each Gateway",
	);
	t.equal(gaps.oldestMs, Number.POSITIVE_INFINITY);
	t.end();
});

t.test("an Envoy's gap lasts until it is heard again", (t) => {
	const gaps = new Gaps();
	gaps.broke(of("a"), 100_000, 102_000);
	gaps.heard(of("b"), 103_000);
	gaps.heard(of("a"), 104_000);
	t.match(
		gaps.take(120_000, false),
		[{ gateway: "a", atMs: 99_000, latencyMs: 6_000 }],
		"one record where it is back soon",
	);
	gaps.broke(of("a"), 200_000, 202_000);
	t.match(gaps.take(220_000, false), [{ gateway: "a", atMs: 199_000, latencyMs: 4_000 }], "else the gap so far");
	gaps.heard(of("a"), 300_000);
	t.match(gaps.take(320_000, false), [{ gateway: "a", atMs: 201_000, latencyMs: 100_000 }], "and the rest");
	gaps.heard(of("a"), 400_000);
	t.same(gaps.take(420_000, true), []);
	t.end();
});

t.test("gaps of too many Envoys share one record", (t) => {
	const gaps = new Gaps();
	for (let index = 0; index < GAP_ENVOYS_MAX + 2; index++) gaps.notReceived(of(`g${index}`), 1_000, 2_000);
	gaps.notReceived(of("g0"), 1_000, 2_000);
	const records = gaps.take(2_000, true);
	t.equal(records.length, GAP_ENVOYS_MAX + 1);
	t.match(records.at(-1), { gateway: null, principal: null });
	t.end();
});

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined };

t.test("the log is not complete beyond a gap that is not recorded yet", async (t) => {
	const store = await openEventStore(t.testdir());
	t.teardown(() => store.close());
	let nowMs = 2_000_000;
	const queue = new AccessRecordQueue({ store, clock: () => nowMs, meter: new TestMeter(), log: LOG });
	queue.listening();
	const whole = async (): Promise<number | null> => {
		queue.refused({ ...NOTHING_ELSE, atMs: nowMs, kind: "denied", reason: "forbidden" });
		await queue.flush();
		return store.accessRecords.transaction(readCompleteUntilMs);
	};
	t.equal(await whole(), 2_000_000 - ENVOY_NOTICED_MS);
	queue.lost(3, 1_995_000);
	nowMs += 30_000;
	t.equal(await whole(), 1_995_000 - GAP_MARGIN_MS);
	await queue.close();
});

t.test(
	"at the end all writes are retried, and missing ones reported, even if the store failed until then",
	async (t) => {
		const store = await openEventStore(t.testdir());
		t.teardown(() => store.close());
		const { accessRecords: decisions } = store;
		const write = decisions.transaction.bind(decisions);
		const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
		const denied = { ...NOTHING_ELSE, atMs: 1_000, kind: "denied", reason: "forbidden" } as const;
		const kinds = (): Promise<readonly string[]> =>
			write(async (transaction) => {
				const rows = await transaction.rows("SELECT kind FROM decisions ORDER BY kind");
				return rows.map(({ kind }) => String(kind));
			});
		const ended = async (max: number, meanwhile: (queue: AccessRecordQueue) => void): Promise<readonly string[]> => {
			const queue = new AccessRecordQueue({ store, clock: () => 2_000_000, meter: new TestMeter(), log }, max);
			queue.listening();
			let refuse = (): void => {};
			const refused = new Promise<never>((_, reject) => (refuse = () => reject(new Error("the disk is full"))));
			decisions.transaction = () => refused;
			const before = await kinds();
			queue.refused(denied);
			const lost = t.rejects(queue.flush());
			await new Promise(setImmediate);
			decisions.transaction = write;
			meanwhile(queue);
			const closed = queue.close();
			refuse();
			await lost;
			await closed;
			return (await kinds()).slice(before.length);
		};
		t.same(await ended(1, (queue) => queue.refused(denied)), ["denied", "records-missing"], "the one that did not fit");
		await write((transaction) => transaction.rows("DELETE FROM decisions"));
		t.same(await ended(9, (queue) => queue.refused(denied)), ["denied", "denied"]);
	},
);

t.test("records dropped by a full disk or a full queue are reported as missing", async (t) => {
	const rig = await startRig();
	await rig.ingest.close();
	const store = await openEventStore(join(rig.directory, "data"));
	t.teardown(async () => {
		await store.close();
	});
	const meter = new TestMeter();
	let nowMs = 2_000_000;
	let full = true;
	const { accessRecords: decisions } = store;
	const write = decisions.transaction.bind(decisions);
	decisions.transaction = (work) => (full ? Promise.reject(new Error("no space left on device")) : write(work));
	const beat = beats(t);
	const own = new AccessRecordQueue({ store, clock: () => nowMs, meter, log: LOG }, 3);
	own.listening();
	const dropping = () => [...meter.gauges].find(([key]) => key.startsWith(GAUGES.dropping.name))?.[1];
	for (let index = 0; index < 8; index++) {
		nowMs += 10;
		own.refused({ ...NOTHING_ELSE, atMs: nowMs, kind: "denied", reason: "forbidden" });
	}
	await t.rejects(own.flush());
	await pause(50);
	t.equal(dropping(), 1, "weir status has an alarm meanwhile");
	nowMs += 10_000;
	// The gap is due to be recorded, and the disk is full.
	beat();
	await pause(50);
	full = false;
	await own.close();
	const rows = await store.questions.transaction((transaction) =>
		transaction.rows("SELECT kind, reason, at_ms, latency_ms, count FROM decisions ORDER BY id"),
	);
	t.equal(rows.filter(({ kind }) => kind === "denied").length, 3);
	t.match(
		rows.filter(({ kind }) => kind === "records-missing").map((row) => ({ ...row, count: Number(row.count) })),
		[{ reason: "not-stored", count: 5 }],
	);
	t.equal(dropping(), 0);
});

t.test("the gauge of dropped decisions becomes an alarm of weir status", (t) => {
	const gauge = (value: number) => ({ metrics: [{ name: GAUGES.dropping.name, values: [{ value, labels: {} }] }] });
	t.same(droppedDecisions(gauge(1) as never), [{ gateway: "", alarm: "decisions-dropped", why: null }]);
	t.same(droppedDecisions(gauge(0) as never), []);
	t.same(droppedDecisions(null), []);
	t.end();
});
