/**
 * The quantile of units' values that a cap is frozen from: of units whose window was over before the question, all arms
 * together, so that a cap cannot favour one. None of them counts afterwards (eras.ts), so none needs to be kept.
 */
import type { BaselineQuantile, EvidenceMetric } from "../analysis/evidence.js";
import { unitValues } from "./aggregateSql.js";
import { outcomeSums, unconflicted, wantedOf } from "./closing.js";
import { DUCKDB } from "./dialect.js";
import { dueMs, whole } from "./eras.js";
import type { EventStore, Transaction } from "./store.js";

/** A number that no series has. */
const UNSTORED = -1;

interface UnitQuantileQuery {
	readonly experiment: string;
	readonly service: string;
	readonly quantile: number;
	readonly untilMs: number;
}

/**
 * Exact, interpolated (R type 7), before any cap. `requests` are units too. null while there is no value.
 * @param rowsMax so many outcomes of the metric are held (freezingRows.ts)
 */
export function unitQuantile(
	store: EventStore,
	{ experiment, service, quantile, untilMs }: UnitQuantileQuery,
	metric: EvidenceMetric,
	rowsMax: number,
): Promise<BaselineQuantile | null> {
	return store.analysis.transaction(async (transaction) => {
		const { windowMs, settleMs, missing } = metric;
		const knownMs = await knownSinceMs(transaction, metric.name, rowsMax);
		if (knownMs === null) return null;
		const due = dueMs([[windowMs, settleMs]]);
		await transaction.run(
			`CREATE OR REPLACE TEMP TABLE all_due AS SELECT u.ordinal, u.unit, u.arm, u.first_ms, ${due} AS due_ms FROM units u
			WHERE u.experiment = $experiment AND ${due} < ${whole(untilMs)} AND u.received_ms >= ${whole(knownMs)}
				AND ${unconflicted("u")}`,
			{ experiment },
		);
		await transaction.run("CREATE OR REPLACE TEMP VIEW due AS FROM all_due");
		const [span] = await transaction.rows("SELECT min(first_ms) AS from_ms, max(first_ms) AS to_ms FROM due");
		if (span === undefined || span.from_ms === null) return null;
		const wanted = [wantedOf(UNSTORED, { ...metric, cap: null, covariateMs: null, denominator: null })];
		const toMs = Number(span.to_ms) + windowMs;
		const lot = { experiment, service, nowMs: untilMs, windowMs, fromMs: Number(span.from_ms), toMs };
		const sums = await outcomeSums(transaction, lot, wanted);
		const [row] = await transaction.rows(
			`WITH sums AS (${sums}), found AS (${unitValues(DUCKDB, wanted, "sums")}),
				units AS (SELECT ${missing === "zero" ? "coalesce(f.x0, 0)" : "f.x0"} AS value FROM due LEFT JOIN found f USING (ordinal))
			SELECT quantile_cont(value, ${Number(quantile)}) AS value, count(value) AS units FROM units`,
		);
		if (row === undefined || row.value === null) return null;
		return { valueMs: Number(row.value), requests: Number(row.units), units: Number(row.units) };
	});
}

/**
 * Of units from before the oldest outcome that is held nobody knows what they brought, once others may have gone: as none
 * they would draw the cap down, to 0 where more are gone than are left. null = nothing is known of anybody.
 */
async function knownSinceMs(transaction: Transaction, metric: string, rowsMax: number): Promise<number | null> {
	const [row] = await transaction.rows(
		"SELECT count(*) AS n, min(received_ms) AS since_ms FROM outcomes WHERE metric = $metric",
		{ metric },
	);
	// Those that go go by the minute, so that fewer than the bound may be left.
	if (Number(row?.n ?? 0) < rowsMax / 2) return 0;
	return row === undefined || row.since_ms === null ? null : Number(row.since_ms);
}
