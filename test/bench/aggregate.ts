/**
 * Cost of aggregates against one bare GROUP BY in DuckDB over the same tables: 10 million outcomes of ten metrics from
 * 1 million units. A full pass reads a new store, closes all units and aggregates durably; a further look reads 1 % new rows.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatherEvidence } from "../../src/observe/events/evidence/evidence.js";
import { Looks } from "../../src/observe/events/evidence/looks.js";
import { type EventStore, openEventStore } from "../../src/observe/events/store/store.js";
import { metric, query } from "../observe/events/rig.js";

const UNITS = Number(process.env.WEIR_BENCH_UNITS ?? 1_000_000);
const METRICS = 10;
const ROUNDS = Number(process.env.WEIR_BENCH_ROUNDS ?? 3);
const WINDOW_MS = 60 * 60_000;
const SETTLE_MS = 500;
/** Exposures come evenly over two weeks. */
const SPAN_MS = 14 * 24 * 60 * 60_000;
const START_MS = 1_764_000_000_000;
const END_MS = START_MS + SPAN_MS + 2 * WINDOW_MS;
const NAMES = Array.from({ length: METRICS }, (_, index) => `metric-${index}`);
const asked = query(...NAMES.map((name) => metric(name, { windowMs: WINDOW_MS, settleMs: SETTLE_MS })));

/** A pseudonym of 128 bits, as units have. */
const UNIT = "((hash(i)::UHUGEINT << 64) | hash(i + 7_000_000_000)::UHUGEINT)";

/**
 * Units from..to with two exposing requests each and, on average, one outcome a metric: in the order in which they
 * would have come.
 */
async function fill(store: EventStore, from: number, to: number, fromMs: number, spanMs: number): Promise<void> {
	const first = `(${fromMs} + ((i - ${from}) * ${spanMs}) // ${Math.max(1, to - from)})`;
	const people = `(SELECT i, ${UNIT} AS unit, ${first} AS first_ms, CASE WHEN hash(i + 1) % 2 = 0 THEN 'control' ELSE 'boosted' END AS arm
		FROM range(${from}, ${to}) r(i))`;
	await store.entries.transaction(async (transaction) => {
		if (from === 0) {
			await transaction.run(
				"INSERT INTO live_points VALUES ('p1', 'models', 'control', 500000), ('p1', 'models', 'boosted', 500000)",
			);
		}
		await transaction.run(
			`INSERT INTO units SELECT 'models', unit, arm, 'p1', first_ms, first_ms + 100, TRUE, nextval('unit_ordinals') FROM ${people} ORDER BY first_ms`,
		);
		await transaction.run(
			`INSERT INTO entries SELECT FALSE, hash(i * 2 + j)::UHUGEINT, (first_ms + j * 600_000) * 1000, first_ms + j * 600_000 + 100, 'shop', 'v1',
				'models', unit, arm, FALSE, NULL, NULL, NULL, NULL, NULL FROM ${people}, range(0, 2) e(j) ORDER BY first_ms + j * 600_000`,
		);
	});
	await store.outcomes.transaction((transaction) =>
		transaction.run(
			`INSERT INTO outcomes SELECT 'metric-' || m, unit, NULL, NULL, value, event_ms, event_ms + 200 FROM (
				SELECT m, unit, (hash(i * 31 + m) % 1_000_000) / 1e4 + (arm = 'boosted')::INTEGER AS value,
					first_ms + (hash(i * 17 + m) % ${WINDOW_MS})::BIGINT AS event_ms
				FROM ${people}, range(0, ${METRICS}) n(m)) ORDER BY event_ms`,
		),
	);
}

const BARE = `WITH per_unit AS (
		SELECT o.metric, u.arm, o.unit, avg(o.value) AS value FROM outcomes o JOIN units u ON o.unit = u.unit
		WHERE u.experiment = 'models' AND o.event_ms BETWEEN u.first_ms AND u.first_ms + ${WINDOW_MS}
			AND o.received_ms <= greatest(u.first_ms + ${WINDOW_MS}, u.received_ms) + ${SETTLE_MS}
		GROUP BY o.metric, u.arm, o.unit)
	SELECT metric, arm, count(*) AS n, avg(value) AS mean, var_pop(value) * count(*) AS m2 FROM per_unit GROUP BY metric, arm ORDER BY ALL`;

interface Timed<Result> {
	readonly seconds: number;
	/** CPU of this process, which other load hardly affects. */
	readonly cpuSeconds: number;
	readonly result: Result;
}

async function timed<Result>(work: () => Promise<Result>): Promise<Timed<Result>> {
	const cpu = process.cpuUsage();
	const started = performance.now();
	const result = await work();
	const seconds = (performance.now() - started) / 1e3;
	const { user, system } = process.cpuUsage(cpu);
	return { seconds, cpuSeconds: (user + system) / 1e6, result };
}

const bare = (store: EventStore) => timed(() => store.analysis.transaction((transaction) => transaction.rows(BARE)));
const median = (values: readonly number[]): number =>
	[...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
/** Most memory that this process has held so far, in MiB. */
const peakMiB = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) / 1024;

/** The rows are made by another process, so that this one's memory is that of the looks. */
const [, , , ask, target] = process.argv;
if (ask === "fill" && target !== undefined) {
	const store = await openEventStore(target);
	await fill(store, 0, UNITS, START_MS, SPAN_MS);
	await store.close();
	process.exit(0);
}

const directory = mkdtempSync(join(tmpdir(), "weir-aggregate-"));
try {
	const filled = join(directory, "filled");
	const made = await timed(async () => {
		execFileSync(process.execPath, [process.argv[1] ?? "", "aggregate", "fill", filled], { stdio: "inherit" });
	});
	console.log(
		`${UNITS} units, ${2 * UNITS} exposures, ${METRICS * UNITS} outcomes made in ${made.seconds.toFixed(0)} s; memory before the first look ${peakMiB().toFixed(0)} MiB`,
	);
	const times = {
		cpuBare: [] as number[],
		cpuFull: [] as number[],
		bare: [] as number[],
		full: [] as number[],
		refresh: [] as number[],
		idle: [] as number[],
	};
	let peak = 0;
	for (let round = 0; round < ROUNDS; round++) {
		const store = await copy(filled, join(directory, `round-${round}`));
		// Alternating, so that both benefit alike from cached reads; the first one shows a look's memory.
		const sooner = round % 2 === 1 ? await bare(store) : null;
		const looks = new Looks();
		const full = await timed(() => gatherEvidence(store, asked, END_MS, looks));
		peak ||= peakMiB();
		const least = sooner ?? (await bare(store));
		check(least.result, full.result.arms);
		const share = UNITS / 100;
		await fill(store, UNITS, UNITS + share, END_MS, WINDOW_MS);
		const nowMs = END_MS + 4 * WINDOW_MS;
		const refreshed = await timed(() => gatherEvidence(store, asked, nowMs, looks));
		// The first look at nothing new learns when the next unit falls due; from the second on it is nearly free.
		const first = await gatherEvidence(store, asked, nowMs + 1_000, looks);
		const idle = await timed(() => gatherEvidence(store, asked, nowMs + 2_000, looks));
		if (JSON.stringify(idle.result.arms) !== JSON.stringify(first.arms))
			throw new Error("a look at nothing new differs");
		check((await bare(store)).result, refreshed.result.arms);
		await store.close();
		rmSync(join(directory, `round-${round}`), { recursive: true });
		console.log(
			`round ${round + 1}: bare ${least.seconds.toFixed(2)} s (CPU ${least.cpuSeconds.toFixed(2)} s), full pass ${full.seconds.toFixed(2)} s (CPU ${full.cpuSeconds.toFixed(2)} s), refresh ${refreshed.seconds.toFixed(3)} s, a look at nothing new ${idle.seconds.toFixed(3)} s`,
		);
		times.cpuBare.push(least.cpuSeconds);
		times.cpuFull.push(full.cpuSeconds);
		times.bare.push(least.seconds);
		times.full.push(full.seconds);
		times.refresh.push(refreshed.seconds);
		times.idle.push(idle.seconds);
	}
	const result = {
		ratioToBareSql: Math.round((median(times.full) / median(times.bare)) * 100) / 100,
		cpuRatioToBareSql: Math.round((median(times.cpuFull) / median(times.cpuBare)) * 100) / 100,
		refreshShare: Math.round((median(times.refresh) / median(times.full)) * 1e4) / 1e4,
		idleMs: Math.round(median(times.idle) * 1e3),
		peakMiB: Math.round(peak),
	};
	console.log(`RESULT ${JSON.stringify(result)}`);
} finally {
	rmSync(directory, { recursive: true, force: true });
}

/** A store of its own, with the same rows. */
async function copy(from: string, to: string): Promise<EventStore> {
	const store = await openEventStore(to);
	await store.close();
	for (const file of ["events.duckdb", "unit.key"]) copyFileSync(join(from, file), join(to, file));
	return openEventStore(to);
}

/** Both must have found the same. */
function check(
	rows: readonly Readonly<Record<string, unknown>>[],
	arms: Awaited<ReturnType<typeof gatherEvidence>>["arms"],
): void {
	if (rows.length !== 2 * METRICS) throw new Error(`the bare GROUP BY has ${rows.length} rows`);
	for (const row of rows) {
		const found = arms.find(({ arm }) => arm === row.arm)?.metrics[String(row.metric)];
		const off = Math.abs((found?.m2 ?? 0) / Number(row.m2) - 1) + Math.abs((found?.mean ?? 0) / Number(row.mean) - 1);
		if (found?.n !== Number(row.n) || !(off < 1e-9))
			throw new Error(
				`${row.metric} of ${row.arm} differs: n ${row.n} and ${found?.n}, mean ${row.mean} and ${found?.mean}, m2 ${row.m2} and ${found?.m2}`,
			);
	}
}
