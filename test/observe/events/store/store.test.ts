import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import t from "tap";
import { EVENTS_MARGIN_MS } from "../../../../src/limits/index.js";
import { IDEMPOTENCY_KEPT_MS } from "../../../../src/observe/events/evidence/retention.js";
import { COUNTERS } from "../../../../src/observe/events/meter.js";
import { SCHEMA_VERSION } from "../../../../src/observe/events/store/schema.js";
import { openEventStore } from "../../../../src/observe/events/store/store.js";
import { spawnIngest } from "../child.js";
import { METRICS, metric, query, type Rig, seriesKey, startRig, unitsOf } from "../rig.js";

const fresh = (): string => mkdtempSync(join(tmpdir(), "weir-store-"));

async function rowsIn(rig: Rig): Promise<Record<string, number>> {
	await rig.ingest.maintain();
	return Object.fromEntries(
		["entries", "units", "outcomes", "observations", "idempotency"].map((table) => [
			table,
			rig.meter.gauges.get(`weir_ingest_rows${JSON.stringify({ table })}`) ?? -1,
		]),
	);
}

t.test("a store held by another process is refused with its PID", async (t) => {
	const directory = fresh();
	const child = await spawnIngest(directory);
	t.teardown(() => child.kill("SIGKILL"));
	await t.rejects(openEventStore(join(directory, "data")), {
		name: "WeirError",
		code: "failed-precondition",
		message: new RegExp(`held by another process \\(PID ${child.pid}\\)`),
		hint: /only one ingest/,
	});
});

t.test("a store of a newer Weir, of another key, or that is no store is refused", async (t) => {
	const directory = fresh();
	await (await openEventStore(directory)).close();
	await (await openEventStore(directory)).close();
	rmSync(join(directory, "unit.key"));
	await t.rejects(openEventStore(directory), { code: "failed-precondition", message: /unit key .* is missing/ });
	writeFileSync(join(directory, "unit.key"), Buffer.alloc(32), { mode: 0o600 });
	await t.rejects(openEventStore(directory), { code: "failed-precondition", message: /not the one/ });
	const other = fresh();
	await (await openEventStore(other)).close();
	const instance = await DuckDBInstance.create(join(other, "events.duckdb"));
	const connection = await instance.connect();
	await connection.run(`UPDATE meta SET value = '${SCHEMA_VERSION - 1}' WHERE key = 'schema'`);
	connection.closeSync();
	instance.closeSync();
	await t.rejects(openEventStore(other), {
		code: "failed-precondition",
		message: new RegExp(`version ${SCHEMA_VERSION - 1}, and this Weir reads version ${SCHEMA_VERSION}`),
		hint: "delete it, or use the Weir that made it",
	});
	const none = fresh();
	writeFileSync(join(none, "events.duckdb"), "this is not a database".repeat(1_000));
	await t.rejects(openEventStore(none), {
		code: "failed-precondition",
		message: /events.duckdb cannot be opened: .*not a valid DuckDB database file/,
		hint: /restore a copy/,
	});
});

t.test("only the store's user can read its files, also ones made readable and later ones", async (t) => {
	const directory = fresh();
	const former = process.umask(0o022);
	t.teardown(() => void process.umask(former));
	const modes = (): readonly string[] =>
		readdirSync(directory).map((name) => `${name} ${(statSync(join(directory, name)).mode & 0o777).toString(8)}`);
	const store = await openEventStore(directory);
	await store.accessRecords.transaction((transaction) => transaction.rows("CREATE TABLE later (one INTEGER)"));
	t.same(modes(), ["events.duckdb 600", "events.duckdb.wal 600", "unit.key 600"]);
	await store.close();
	chmodSync(join(directory, "events.duckdb"), 0o644);
	await (await openEventStore(directory)).close();
	t.same(modes(), ["events.duckdb 600", "unit.key 600"]);
});

t.test("a transaction that fails leaves nothing, and the next one works", async (t) => {
	const store = await openEventStore(fresh());
	t.teardown(() => store.close());
	const put = (key: bigint) =>
		store.outcomes.transaction(async (transaction) => {
			await transaction.append("losses", [1], (to) => {
				to.appendBigInt(1n);
				to.appendVarchar("dropped");
				to.appendBigInt(1n);
			});
			await transaction.append("idempotency", [key], (to, item) => {
				to.appendUHugeInt(item);
				to.appendVarchar("");
				to.appendUSmallInt(200);
				to.appendVarchar("");
				to.appendBigInt(0n);
			});
		});
	await put(1n);
	await t.rejects(put(1n));
	await put(2n);
	const [row] = await store.analysis.transaction((transaction) => transaction.rows("SELECT count(*) AS n FROM losses"));
	t.equal(Number(row?.n), 2);
});

t.test("the time of the last entry before an opening is kept as long as the entry", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const pruned = () => rig.meter.counts.get(seriesKey(COUNTERS.pruned.name, { table: "openings" }));
	await rig.send([{ kind: "end", unit: null, requestId: "r", startMs: rig.nowMs }]);
	await rig.restart();
	await rig.restart();
	const longest = Math.max(...METRICS.map(({ windowMs }) => windowMs));
	rig.nowMs += longest + EVENTS_MARGIN_MS;
	t.equal((await rowsIn(rig)).entries, 1);
	t.equal(pruned(), undefined);
	rig.nowMs += 1;
	t.equal((await rowsIn(rig)).entries, 0);
	t.equal(pruned(), 1, "of two restarts without an entry between");
});

t.test("rows past their time are removed; units and observations stay", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([
		{ kind: "start", unit, requestId: "r1", startMs: rig.nowMs },
		{ kind: "end", unit, requestId: "r1", startMs: rig.nowMs },
	]);
	await rig.post({ metric: "revenue", value: 1, unit }, { "idempotency-key": "k" });
	const longest = 7_200_000;
	const asked = query(metric("errors", { windowMs: longest - 500 }), metric("revenue"));
	await rig.ingest.evidence.evidence(asked);
	rig.nowMs += longest + EVENTS_MARGIN_MS;
	const before = await rig.ingest.evidence.evidence(asked);
	t.same(await rowsIn(rig), { entries: 2, units: 1, outcomes: 1, observations: 2, idempotency: 1 });
	rig.nowMs += 1;
	t.same(await rowsIn(rig), { entries: 0, units: 1, outcomes: 0, observations: 2, idempotency: 1 });
	rig.nowMs += IDEMPOTENCY_KEPT_MS;
	t.equal((await rowsIn(rig)).idempotency, 0);
	const after = await rig.ingest.evidence.evidence(asked);
	t.same(after.arms, before.arms);
});
