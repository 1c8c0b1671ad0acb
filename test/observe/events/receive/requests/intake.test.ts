import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import {
	ACCESS_LOG_COMMIT_MS,
	ACCESS_LOG_COMMIT_ROWS,
	ACCESS_LOG_QUEUE_MAX,
	Intake,
} from "../../../../../src/observe/events/receive/requests/intake.js";
import { PlanReader } from "../../../../../src/observe/events/receive/requests/planReader.js";
import { type EventStore, openEventStore } from "../../../../../src/observe/events/store/store.js";
import { encode, PLANS, seriesKey, TestMeter } from "../../rig.js";

const silent = (): void => undefined;
const log = { info: silent, warn: silent, error: silent };

t.test("beyond its bound the queue drops, counts, and keeps the loss with its time", async (t) => {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-intake-")));
	const meter = new TestMeter();
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	await plans.load("p1");
	const intake = new Intake({ store, plans, clock: () => 5, meter, log });
	const message = encode([{ kind: "end", unit: null, requestId: "r", startMs: 1_000 }]);
	// In one turn, so that no commit can make room.
	for (let count = 0; count < ACCESS_LOG_QUEUE_MAX + 3; count++)
		decodeMessage(message, (entry) => intake.offer({ entry, receivedMs: 5, gateway: null }));
	t.equal(intake.waiting, ACCESS_LOG_QUEUE_MAX);
	await intake.flush();
	t.equal(intake.waiting, 0);
	t.equal(meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "dropped" })), 3);
	t.equal(meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "stored" })), ACCESS_LOG_QUEUE_MAX);
	const rows = await store.analysis.transaction((transaction) => transaction.rows("SELECT * FROM losses"));
	t.same(rows, [{ at_ms: 5n, reason: "dropped", entries: 3n }]);
	await intake.close();
	await store.close();
});

t.test("a loss during a commit is stored without waiting for an entry", async (t) => {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-intake-")));
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	const intake = new Intake({ store, plans, clock: () => 5, meter: new TestMeter(), log });
	intake.undelivered(1, 3);
	const running = intake.flush();
	intake.undelivered(2, 3);
	await running;
	const stored = (): Promise<readonly object[]> =>
		store.analysis.transaction((transaction) => transaction.rows("SELECT entries FROM losses ORDER BY entries"));
	for (let tries = 0; (await stored()).length < 2 && tries < 200; tries++)
		await new Promise((resolve) => setTimeout(resolve, 20));
	t.same(await stored(), [{ entries: 1n }, { entries: 2n }]);
	await intake.close();
	await store.close();
});

t.test("a commit that fails loses nothing: the rows go with the next one", async (t) => {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-intake-")));
	const meter = new TestMeter();
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	await plans.load("p1");
	let broken = true;
	const entries: EventStore["entries"] = Object.assign(Object.create(store.entries), {
		transaction: async (change: Parameters<EventStore["entries"]["transaction"]>[0]) =>
			store.entries.transaction(async (transaction) => {
				const result = await change(transaction);
				if (broken) throw new Error("the disk is full");
				return result;
			}),
	});
	const failing: EventStore = Object.assign(Object.create(store), { entries });
	const intake = new Intake({
		store: failing,
		plans,
		clock: () => 5,
		meter,
		log,
		exposureSettlesMs: Number.NEGATIVE_INFINITY,
	});
	const entry = { kind: "start", unit: "user-1", requestId: "r", startMs: 1_000 } as const;
	decodeMessage(encode([entry]), (entry) => intake.offer({ entry, receivedMs: 5, gateway: null }));
	intake.undelivered(2, 3);
	await t.rejects(intake.flush(), {
		code: "unavailable",
		message: "the event store did not take the access-log entries",
	});
	t.equal(intake.waiting, 1);
	broken = false;
	intake.undelivered(1, 4);
	await intake.flush();
	t.equal(intake.waiting, 0);
	for (const table of ["entries", "units"]) {
		const [row] = await store.analysis.transaction((transaction) =>
			transaction.rows(`SELECT count(*) AS n FROM ${table}`),
		);
		t.equal(Number(row?.n), 1, table);
	}
	const lost = await store.analysis.transaction(async (transaction) => [
		await transaction.rows("SELECT * FROM losses"),
		await transaction.rows("SELECT last_ms FROM openings ORDER BY last_ms"),
	]);
	t.same(lost, [[{ at_ms: 5n, reason: "undelivered", entries: 3n }], [{ last_ms: 3n }, { last_ms: 10_005n }]]);
	const [points] = await store.analysis.transaction((transaction) =>
		transaction.rows("SELECT count(*) AS n FROM live_points"),
	);
	t.equal(Number(points?.n), 2);
	await intake.close();
	await store.close();
});

t.test("rows that a full disk refused are retried after a while, however many wait", async (t) => {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-intake-")));
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	await plans.load("p1");
	const [begun, ended]: [number[], number[]] = [[], []];
	let seen = (): void => {};
	const isSeen = new Promise<void>((resolve) => (seen = resolve));
	const entries: EventStore["entries"] = Object.assign(Object.create(store.entries), {
		transaction: async () => {
			begun.push(performance.now());
			if (begun.length === 3) seen();
			await new Promise(setImmediate);
			ended.push(performance.now());
			throw new Error("the disk is full");
		},
	});
	const failing: EventStore = Object.assign(Object.create(store), { entries });
	const times: unknown[] = [];
	const error = (_: string, fields: Readonly<Record<string, unknown>> = {}): void => void times.push(fields.times);
	const intake = new Intake({ store: failing, plans, clock: () => 5, meter: new TestMeter(), log: { ...log, error } });
	const message = encode([{ kind: "end", unit: null, requestId: "r", startMs: 1_000 }]);
	for (let count = 0; count < ACCESS_LOG_COMMIT_ROWS; count++)
		decodeMessage(message, (entry) => intake.offer({ entry, receivedMs: 5, gateway: null }));
	await isSeen;
	for (const [at, endedMs] of ended.slice(0, 2).entries())
		t.ok((begun[at + 1] ?? 0) - endedMs >= ACCESS_LOG_COMMIT_MS - 5, "no busy loop");
	await t.rejects(intake.close(), "its rows are not kept");
	const tries = begun.length;
	t.same(times, ["1", String(tries - 1)], "the rest is reported at the end");
	await new Promise((resolve) => setTimeout(resolve, 2 * ACCESS_LOG_COMMIT_MS));
	t.equal(begun.length, tries, "who is closed tries no more");
	await store.close();
});

t.test("entries that arrived during a failed commit are written at the end", async (t) => {
	const store = await openEventStore(mkdtempSync(join(tmpdir(), "weir-intake-")));
	const plans = new PlanReader(async (version) => PLANS[version] ?? null);
	await plans.load("p1");
	let refuse = (): void => {};
	const refused = new Promise<never>((_, reject) => (refuse = () => reject(new Error("the disk is full"))));
	let begun = 0;
	const entries: EventStore["entries"] = Object.assign(Object.create(store.entries), {
		transaction: (change: Parameters<EventStore["entries"]["transaction"]>[0]) =>
			++begun === 1 ? refused : store.entries.transaction(change),
	});
	const failing: EventStore = Object.assign(Object.create(store), { entries });
	const intake = new Intake({ store: failing, plans, clock: () => 5, meter: new TestMeter(), log });
	const hears = (requestId: string): void =>
		decodeMessage(encode([{ kind: "end", unit: null, requestId, startMs: 1_000 }]), (entry) =>
			intake.offer({ entry, receivedMs: 5, gateway: null }),
		);
	hears("before");
	const running = t.rejects(intake.flush());
	hears("meanwhile");
	const closed = intake.close();
	refuse();
	await running;
	await closed;
	t.equal(intake.waiting, 0);
	const [row] = await store.analysis.transaction((transaction) =>
		transaction.rows("SELECT count(*) AS n FROM entries"),
	);
	t.equal(Number(row?.n), 2);
	await store.close();
});
