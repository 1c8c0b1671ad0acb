/**
 * Retention. Entries and outcomes are kept until every observation that may use them is closed. Units and
 * observations stay: they are the evidence.
 */
import { EVENTS_MARGIN_MS } from "../../../limits/index.js";
import { COUNTERS, type Meter } from "../meter.js";
import type { MetricDeclaration } from "../receive/outcomes/metricDeclaration.js";
import { text } from "../store/sql.js";
import type { EventStore, Lane } from "../store/store.js";
import type { Times } from "./eras.js";
import { freezingRows, isHeld } from "./freezingRows.js";
import type { Looks } from "./looks.js";

/**
 * Newest requests of a Service, or outcomes of a Metric, that are kept to freeze a threshold or a cap. Each evaluation
 * sorts them in about a second; a p99.9 needs 50,000.
 */
const FREEZING_ROWS_MAX = 1_000_000;

/** How long an idempotency key is stored: above any client's retries. */
export const IDEMPOTENCY_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest further retention while a running Experiment is not evaluated or has a threshold to freeze. */
export const EVENTS_HELD_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Removes old rows. The time kept is the longest window of any declared metric or evidence query, plus its covariate period
 * and settling time. It counts from the last look at the running Experiments, because rows that no look has read are in no
 * observation yet. The newest rows needed to freeze a threshold or a cap stay too. EVENTS_HELD_MS is the limit of both.
 */
export async function prune(
	store: EventStore,
	nowMs: number,
	declared: readonly MetricDeclaration[],
	looks: Looks,
	meter: Meter,
	freezingRowsMax: number = FREEZING_ROWS_MAX,
): Promise<void> {
	const asked = await store.analysis.transaction((transaction) =>
		transaction.rows("SELECT DISTINCT before_ms, times FROM eras"),
	);
	const needed = asked.map(({ before_ms, times }) => {
		const each = (JSON.parse(String(times)) as Times[]).map(([windowMs, settleMs]) => windowMs + settleMs);
		return Number(before_ms) + Math.max(...each);
	});
	const windows = declared.map(({ windowMs, covariateMs }) => windowMs + (covariateMs ?? 0));
	const keptMs = Math.max(0, ...windows, ...needed) + EVENTS_MARGIN_MS;
	const judges = declared.flatMap(({ judges = [] }) => judges);
	const unseenMs = await unseenSinceMs(store, nowMs, new Set(judges.map(({ experiment }) => experiment)), looks);
	const oldestMs = nowMs - keptMs - EVENTS_HELD_MS;
	const pastMs = Math.max(Math.min(nowMs, unseenMs) - keptMs, oldestMs);
	const held = await freezingRows(store, declared, pastMs, freezingRowsMax);
	// Each table on the lane that writes it, so that no two transactions write one table.
	const removals: readonly (readonly [Lane, string, string, number])[] = [
		[store.entries, "entries", "received_ms", pastMs],
		[store.entries, "openings", "last_ms", pastMs],
		[store.outcomes, "outcomes", "received_ms", pastMs],
		[store.outcomes, "idempotency", "at_ms", nowMs - IDEMPOTENCY_KEPT_MS],
	];
	for (const [lane, table, column, beforeMs] of removals) {
		const stays = `${column} >= $oldest AND (${isHeld(held, table)})`;
		const [removed] = await lane.transaction((transaction) =>
			transaction.rows(`DELETE FROM ${table} WHERE ${column} < $before AND NOT (${stays})`, {
				before: BigInt(beforeMs),
				oldest: BigInt(oldestMs),
			}),
		);
		const rows = Number(removed?.Count ?? 0);
		if (rows > 0) meter.count(COUNTERS.pruned.name, COUNTERS.pruned.help, { table }, rows);
	}
}

/** The earliest last look at any of the experiments; without a look, its first unit counts. */
async function unseenSinceMs(
	store: EventStore,
	nowMs: number,
	experiments: ReadonlySet<string>,
	looks: Looks,
): Promise<number> {
	const forgotten = [...experiments].filter((experiment) => looks.lookedMs(experiment) === null);
	const remembered = [...experiments].map((experiment) => looks.lookedMs(experiment) ?? nowMs);
	if (forgotten.length === 0) return Math.min(nowMs, ...remembered);
	const names = forgotten.map(text).join(", ");
	const rows = await store.analysis.transaction((transaction) =>
		transaction.rows(
			`SELECT experiment, max(as_of_ms) AS ms FROM eras WHERE experiment IN (${names}) AND as_of_ms >= 0 GROUP BY experiment
			UNION ALL SELECT experiment, min(received_ms) AS ms FROM units WHERE experiment IN (${names})
				AND experiment NOT IN (SELECT experiment FROM eras WHERE as_of_ms >= 0) GROUP BY experiment`,
		),
	);
	return Math.min(nowMs, ...remembered, ...rows.map(({ ms }) => Number(ms)));
}
