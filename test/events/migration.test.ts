/** A store that an earlier Weir wrote is opened, and goes on from what it had observed. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import t, { type Test } from "tap";
import { AssignmentChanges } from "../../src/events/decisions/assignmentChanges.js";
import { putDecision, putShadow } from "../../src/events/decisions/decisionAppend.js";
import { answerShadow, parseDecisionQuery } from "../../src/events/decisions/decisionQuery.js";
import { NOTHING_ELSE } from "../../src/events/decisions/decisionRecord.js";
import { gatherEvidence } from "../../src/events/evidence/evidence.js";
import { loadPseudonyms } from "../../src/events/store/pseudonym.js";
import { RequestCommit } from "../../src/events/store/requestCommit.js";
import type { RequestRow } from "../../src/events/store/requestRow.js";
import { putRow } from "../../src/events/store/rowAppend.js";
import { SCHEMA_VERSION } from "../../src/events/store/schema.js";
import { openEventStore } from "../../src/events/store/store.js";
import { metric, query, seriesKey, startRig } from "./rig.js";

const SCHEMA_2 = readFileSync("test/events/fixtures/schema-2.sql", "utf8");

/** Units 1 to 6, exposed at 1000·unit; those up to 4 were closed, 4 without data, under another window than 3. */
const ROWS_2 = `
INSERT INTO units SELECT 'models', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END, 'p1', 1000 * i, 1000 * i FROM range(1, 7) r(i);
INSERT INTO live_points VALUES ('p1', 'models', 'control', 1), ('p1', 'models', 'boosted', 1);
INSERT INTO conflicts VALUES ('models', 2, 2500);
INSERT INTO observations SELECT 'models', 'revenue', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END,
	CASE WHEN i < 4 THEN 10.0 * i END, 1000 * i + 1500 FROM range(1, 5) r(i);
INSERT INTO observations SELECT 'models', 'p99', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END, 0.5, 1000 * i + 1500
	FROM range(1, 5) r(i);
INSERT INTO closings VALUES ('models', 'revenue', 'outcome', 1000, 500, 5000), ('models', 'p99', 'latency', 1000, 500, 5000);
INSERT INTO outcomes SELECT 'revenue', i, NULL, NULL, 100.0, 1000 * i, 1000 * i FROM range(1, 7) r(i);
`;

/** Observations as stores had them before version 10: all in the wide table. */
const ONE_TABLE = `
DROP VIEW all_observations;
ALTER TABLE observations RENAME TO narrow;
ALTER TABLE co_observations RENAME TO observations;
INSERT INTO observations SELECT *, NULL, NULL, NULL FROM narrow;
DROP TABLE narrow;
`;

function folder(t: Test): string {
	const directory = mkdtempSync(join(tmpdir(), "weir-migration-"));
	t.teardown(() => rmSync(directory, { recursive: true, force: true }));
	return directory;
}

/** Makes of the store in a folder, or of an empty file, what an earlier Weir had written. */
async function rewrite(
	directory: string,
	as: (run: (sql: string) => Promise<unknown>) => Promise<void>,
): Promise<void> {
	const instance = await DuckDBInstance.create(join(directory, "events.duckdb"));
	const connection = await instance.connect();
	await as((sql) => connection.run(sql));
	connection.closeSync();
	instance.closeSync();
}

t.test("a store of schema 2 keeps its observations, and no unit is observed twice", async (t) => {
	const directory = folder(t);
	const { fingerprint } = loadPseudonyms(join(directory, "unit.key"), true);
	await rewrite(directory, async (run) => {
		await run(SCHEMA_2);
		await run(ROWS_2);
		await run(`INSERT INTO meta VALUES ('schema', '2'), ('unit-key', '${fingerprint}')`);
	});

	const p99 = metric("p99", {
		threshold: { thresholdMs: 100, baseline: { arm: "control", thresholdMs: 100 }, frozenAtMs: 1_000 },
	});
	for (const round of ["first", "again"]) {
		const store = await openEventStore(directory);
		const look = (nowMs: number) => gatherEvidence(store, query(metric("revenue"), p99), nowMs);
		const early = round === "first" ? await look(5_600) : null;
		if (early !== null) {
			const [boosted, control] = early.arms;
			t.match(boosted, { exposedUnits: 3, metrics: { revenue: { n: 2, mean: 20, m2: 200 } } }, "1 and 3, as observed");
			t.match(control, { exposedUnits: 2, missingUnits: { revenue: 1 } }, "2 is in conflict, 4 had nothing");
			t.notOk(control?.metrics.revenue);
			t.match(boosted?.metrics.p99, { n: 1 }, "1 was exposed before the threshold was frozen");
		}
		const { arms, conflictingUnits, exposures } = await look(60_000);
		t.match(arms[0]?.metrics.revenue, { n: 3, mean: 140 / 3 }, `${round}: and 5`);
		t.match(arms[1]?.metrics.revenue, { n: 1, mean: 100, m2: 0 }, `${round}: and 6`);
		t.match(
			arms.map(({ maturedUnits }) => maturedUnits),
			[3, 2],
		);
		t.equal(conflictingUnits, 1);
		t.match(exposures, [{ planVersion: "p1", firstMs: 1_000, counts: { boosted: 3, control: 2 } }]);
		const [version] = await store.analysis.transaction((transaction) =>
			transaction.rows("SELECT value FROM meta WHERE key = 'schema'"),
		);
		t.equal(version?.value, String(SCHEMA_VERSION));
		await store.close();
	}
});

t.test("the decision log of a store of schema 4 is kept, and goes on", async (t) => {
	const directory = folder(t);
	await (await openEventStore(directory)).close();
	await rewrite(directory, async (run) => {
		await run("ALTER TABLE decisions DROP COLUMN via");
		await run("ALTER TABLE decisions DROP COLUMN decision");
		await run(`INSERT INTO decisions BY NAME SELECT 1 AS id, 'denied' AS kind, 5 AS at_ms, 5 AS received_ms,
			'spiffe://a.test/web' AS principal, 'forbidden' AS reason, 'envoy' AS decided_by, 1 AS count`);
		await run(ONE_TABLE);
		await run("UPDATE meta SET value = '4' WHERE key = 'schema'");
	});

	for (const round of [1, 2]) {
		const store = await openEventStore(directory);
		await store.decisions.transaction((transaction) =>
			transaction.append("decisions", [{ ...NOTHING_ELSE, via: "spiffe://a.test/proxy", decision: 7 }], (to, record) =>
				putDecision(to, 1 + round, 6, record),
			),
		);
		const rows = await store.decisions.transaction((transaction) =>
			transaction.rows("SELECT id, via, decision FROM decisions ORDER BY id"),
		);
		t.same(
			rows.map(({ via }) => via),
			[null, ...Array<string>(round).fill("spiffe://a.test/proxy")],
		);
		t.same(
			rows.map(({ decision }) => decision),
			[null, ...Array<bigint>(round).fill(7n)],
		);
		await store.close();
	}
});

t.test("a store of schema 3: every unit is of the core, what is closed stays closed", async (t) => {
	const directory = folder(t);
	const { fingerprint } = loadPseudonyms(join(directory, "unit.key"), true);
	await rewrite(directory, async (run) => {
		await run(readFileSync("test/events/fixtures/schema-3.sql", "utf8"));
		await run(`
			INSERT INTO units SELECT 'models', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END, 'p1', 1000 * i, 1000 * i,
				nextval('unit_ordinals') FROM range(1, 7) r(i);
			INSERT INTO live_points VALUES ('p1', 'models', 'control', 1), ('p1', 'models', 'boosted', 1);
			INSERT INTO outcomes SELECT 'revenue', i, NULL, NULL, 10.0 * i, 1000 * i, 1000 * i FROM range(1, 7) r(i);
			INSERT INTO meta VALUES ('schema', '3'), ('unit-key', '${fingerprint}')`);
	});
	const store = await openEventStore(directory);
	t.teardown(() => store.close());
	const { arms } = await gatherEvidence(store, { ...query(metric("revenue")), coreFromMs: 1 }, 60_000);
	t.match(arms[0]?.metrics.revenue, { n: 3, mean: 30 }, "1, 3 and 5, though a bandit had moved before");
	const next = await store.analysis.transaction((transaction) =>
		transaction.rows("SELECT nextval('unit_ordinals') AS next, (SELECT max(ordinal) FROM units WHERE core) AS last"),
	);
	t.match(next, [{ next: 6n, last: 5n }]);
	// The columns have another order than in a new store.
	const exposure = {
		...{ experiment: "models", unit: 9n, arm: "boosted", plan: "p2", firstMs: 9_000, receivedMs: 9_100 },
		...{ livePoints: { boosted: 1 }, core: false, segments: {} },
	};
	const batch = {
		rows: [],
		exposures: [exposure],
		forced: [],
		refused: [],
		lost: { entries: { dropped: 0, unreadable: 0, undelivered: 0 }, undeliveredSinceMs: null },
		nowMs: 9_100,
	};
	const rows = await store.analysis.transaction(async (transaction) => {
		await new RequestCommit().write(transaction, batch);
		return transaction.rows("SELECT plan, first_ms, received_ms, core, ordinal FROM units WHERE unit = 9");
	});
	t.match(rows, [{ plan: "p2", first_ms: 9_000n, received_ms: 9_100n, core: false, ordinal: 7n }]);
});

t.test("a store of schema 6: shadow counts under rules and requests in arms that nobody knows", async (t) => {
	const directory = folder(t);
	const { fingerprint } = loadPseudonyms(join(directory, "unit.key"), true);
	await rewrite(directory, async (run) => {
		await run(readFileSync("test/events/fixtures/schema-6.sql", "utf8"));
		await run(`INSERT INTO shadows VALUES (5, 'would-deny', 'try', 'shop', NULL, 'GET', '/a', 3),
			(5, 'would-deny', '(invalid token) typ', 'shop', NULL, 'GET', '/b', 2),
			(5, 'would-deny', '(not canonical)', 'shop', NULL, 'GET', '/c', 2);
			INSERT INTO entries VALUES (TRUE, 1, 5, 5, 'shop', 'v1', 'models', 7, NULL, TRUE, 1, 200, FALSE, FALSE);
			INSERT INTO meta VALUES ('schema', '6'), ('unit-key', '${fingerprint}')`);
	});
	const count = {
		...({ change: "would-deny", policy: "try", reason: "forbidden" } as const),
		...{ service: "shop", principal: null, method: "GET" },
	};
	const row: RequestRow = {
		...{ ended: true, request: 2n, receivedMs: 9, service: "shop", variant: "v1", experiment: "models", unit: 8n },
		...{ arm: null, reference: true, durationMs: 1, status: 200, failed: false, unhealthy: false, assigned: null },
		startUs: 9,
	};
	for (const round of [1, 2]) {
		const store = await openEventStore(directory);
		await store.entries.transaction((transaction) => transaction.append("entries", [row], putRow));
		const arms = new AssignmentChanges();
		await arms.recall(store.decisions);
		const seen = (unit: bigint) => arms.see({ experiment: "models", unit, arm: "boosted", plan: "p", startUs: 10 });
		t.equal(seen(7n), null, "its arm was not stored then");
		t.same(seen(8n), { formerArm: null });
		await store.decisions.transaction((transaction) =>
			transaction.append("shadows", [{ ...count, path: "/a", rules: "00ff", count: round }], (to, shadow) =>
				putShadow(to, 6, shadow),
			),
		);
		const asked = parseDecisionQuery(new URLSearchParams("view=shadow&rules=all"), null);
		const { changes } = await answerShadow(store, asked, new Map([["shop", "00ff"]]));
		t.match(
			changes.map(({ policy, reason, rules, inForce, count }) => [policy, reason, rules, inForce, count]).sort(),
			[
				["try", null, null, false, 3],
				["try", "forbidden", "00ff", true, round === 1 ? 1 : 3],
				// Rules of Weir's own were taken for policies.
				[null, "invalid-token", null, false, 2],
				[null, "not-canonical", null, false, 2],
			].sort(),
		);
		await store.close();
	}
});

t.test(
	"a store of schema 8: what was observed stays, and what was aggregated without extremes gets them",
	async (t) => {
		const directory = folder(t);
		const before = await openEventStore(directory);
		await before.analysis.transaction((transaction) =>
			transaction.run(`
			INSERT INTO units SELECT 'models', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END, 'p1', 1000 * i, 1000 * i,
				TRUE, nextval('unit_ordinals') FROM range(1, 7) r(i);
			INSERT INTO live_points VALUES ('p1', 'models', 'control', 1), ('p1', 'models', 'boosted', 1);
			INSERT INTO outcomes SELECT 'revenue', i, NULL, NULL, 10.0 * i, 1000 * i, 1000 * i FROM range(1, 7) r(i)`),
		);
		await gatherEvidence(before, query(metric("revenue")), 5_600);
		await before.close();
		await rewrite(directory, async (run) => {
			for (let i = 0; i < 4; i++)
				for (const end of ["lo", "hi"]) await run(`ALTER TABLE aggregates DROP COLUMN ${end}${i}`);
			await run(ONE_TABLE);
			await run("UPDATE meta SET value = '8' WHERE key = 'schema'");
		});
		for (const nowMs of [5_700, 60_000]) {
			const store = await openEventStore(directory);
			const { arms, periods } = await gatherEvidence(store, query(metric("revenue")), nowMs);
			const most = nowMs === 5_700 ? 30 : 50;
			t.match(arms[0]?.metrics.revenue, {
				n: most / 10 - 1 - (nowMs === 5_700 ? 0 : 1),
				extremes: [{ lo: 10, hi: most }],
			});
			t.match(periods[0]?.arms[0]?.metrics.revenue?.extremes, [{ lo: 10, hi: most }]);
			await store.close();
		}
	},
);

t.test(
	"a store of schema 10: values too large to be squared are taken away and counted, and evidence heals",
	async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const data = join(rig.directory, "data");
		/** Units 1 to 6; `last` was observed of the sixth. */
		const written = (last: string) => async (run: (sql: string) => Promise<unknown>) => {
			await run(`INSERT INTO units SELECT 'models', i, CASE WHEN i % 2 = 0 THEN 'control' ELSE 'boosted' END, 'p1', 1000 * i, 1000 * i,
			TRUE, nextval('unit_ordinals') FROM range(1, 7) r(i);
			INSERT INTO live_points VALUES ('p1', 'models', 'control', 1), ('p1', 'models', 'boosted', 1);
			INSERT INTO outcomes SELECT 'revenue', i, NULL, NULL, CASE WHEN i = 6 THEN ${last} ELSE 10.0 * i END, 1000 * i, 1000 * i
				FROM range(1, 7) r(i)`);
		};
		await rig.ingest.close();
		await rewrite(data, written("1e150"));
		await rig.reopen();
		rig.nowMs = 60_000;
		const asked = query(metric("revenue", { range: { lo: 0, hi: 1e18 } }));
		t.equal(
			(await rig.ingest.evidence.evidence(asked)).arms[1]?.metrics.revenue?.n,
			3,
			"squares of it are doubles still",
		);
		await rig.ingest.close();
		await rewrite(data, async (run) => {
			// Another that no look could take in.
			await run(`INSERT INTO units VALUES ('models', 8, 'control', 'p1', 70000, 70000, TRUE, nextval('unit_ordinals'));
			INSERT INTO outcomes VALUES ('revenue', 8, NULL, NULL, -1.7e308, 70000, 70000);
			UPDATE meta SET value = '10' WHERE key = 'schema'`);
		});
		await rig.reopen();
		rig.nowMs = 90_000;
		for (const round of ["first", "again"]) {
			const [boosted, control] = (await rig.ingest.evidence.evidence(asked)).arms;
			t.match(boosted?.metrics.revenue, { n: 3, mean: 30, m2: 800, extremes: [{ lo: 10, hi: 50 }] }, round);
			t.match(control, {
				exposedUnits: 4,
				metrics: { revenue: { n: 2, mean: 30, m2: 200, extremes: [{ lo: 20, hi: 40 }] } },
			});
			t.equal(control?.metrics.revenue?.capital?.n, 2);
			t.match(control?.missingUnits, { revenue: 2 });
			t.equal(rig.meter.counts.get(seriesKey("weir_ingest_outcomes_total", { result: "value-too-large" })), 2);
			await rig.restart();
		}
	},
);

t.test("bounds beyond 64-bit whole numbers are numbers all the same", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	for (const range of [
		{ lo: 0, hi: 1e19 },
		{ lo: -1e19, hi: 1 },
	]) {
		const { experiment } = await rig.ingest.evidence.evidence(query(metric("revenue", { range })));
		t.equal(experiment, "models");
	}
});
