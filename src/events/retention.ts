/**
 * What is removed and when. Entries and outcomes are needed until every observation that they may enter is
 * closed; then the observations speak for them. Units and observations stay: they are the evidence.
 */
import { DECISIONS_KEPT_MS, DECISIONS_ROWS_MAX, EVENTS_MARGIN_MS, IDEMPOTENCY_KEPT_MS } from "../limits.js";
import type { Times } from "./eras.js";
import { COUNTERS, GAUGES, type Meter } from "./meter.js";
import { TABLES } from "./schema.js";
import type { EventStore, Lane } from "./store.js";

/**
 * Removes rows past their time. `neededMsMax`: the longest window of any declared metric, with what lies before the
 * first exposure and counts as a covariate; longer ones that were asked for in evidence queries count too, with their
 * settling times.
 */
export async function prune(store: EventStore, nowMs: number, neededMsMax: number, meter: Meter): Promise<void> {
	const asked = await store.analysis.transaction((transaction) =>
		transaction.rows("SELECT DISTINCT before_ms, times FROM eras WHERE times IS NOT NULL"),
	);
	const needed = asked.map(({ before_ms, times }) => {
		const each = (JSON.parse(String(times)) as Times[]).map(([windowMs, settleMs]) => windowMs + settleMs);
		return Number(before_ms) + Math.max(...each);
	});
	const keptMs = Math.max(neededMsMax, ...needed) + EVENTS_MARGIN_MS;
	// Each table on the lane that writes it, so that no two transactions meet in one table.
	const removals: readonly (readonly [Lane, string, string, number])[] = [
		[store.entries, "entries", "received_ms", nowMs - keptMs],
		[store.entries, "openings", "last_ms", nowMs - keptMs],
		[store.outcomes, "outcomes", "received_ms", nowMs - keptMs],
		[store.outcomes, "idempotency", "at_ms", nowMs - IDEMPOTENCY_KEPT_MS],
	];
	for (const [lane, table, column, beforeMs] of removals) {
		const [removed] = await lane.transaction((transaction) =>
			transaction.rows(`DELETE FROM ${table} WHERE ${column} < $before`, { before: BigInt(beforeMs) }),
		);
		const rows = Number(removed?.Count ?? 0);
		if (rows > 0) meter.count(COUNTERS.pruned.name, COUNTERS.pruned.help, { table }, rows);
	}
}

/** Removes decision records past their time, and the oldest beyond their number. */
export async function pruneDecisions(
	store: EventStore,
	nowMs: number,
	meter: Meter,
	rowsMax: number = DECISIONS_ROWS_MAX,
): Promise<void> {
	for (const [table, order] of [
		["decisions", "id"],
		["shadows", "received_ms"],
	] as const) {
		const rows = await store.decisions.transaction(async (transaction) => {
			const [old] = await transaction.rows(`DELETE FROM ${table} WHERE received_ms < $before`, {
				before: BigInt(nowMs - DECISIONS_KEPT_MS),
			});
			const [held] = await transaction.rows(`SELECT count(*) AS n FROM ${table}`);
			const excess = Number(held?.n ?? 0) - rowsMax;
			if (excess <= 0) return Number(old?.Count ?? 0);
			const [more] = await transaction.rows(
				`DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} ORDER BY ${order} LIMIT ${excess})`,
			);
			return Number(old?.Count ?? 0) + Number(more?.Count ?? 0);
		});
		if (rows > 0) meter.count(COUNTERS.pruned.name, COUNTERS.pruned.help, { table }, rows);
	}
}

/** Outcomes that have nothing to join yet, by what is unknown so far. They are kept until their retention ends. */
export interface WaitingOutcomes {
	readonly unit: number;
	readonly request: number;
	readonly experiment: number;
}

export async function waitingOutcomes(store: EventStore): Promise<WaitingOutcomes> {
	const [row] = await store.analysis.transaction((transaction) =>
		transaction.rows(
			`WITH judged AS (SELECT
				o.experiment IS NOT NULL AND NOT EXISTS (SELECT 1 FROM live_points l WHERE l.experiment = o.experiment) AS experiment,
				o.unit IS NOT NULL AND NOT EXISTS (SELECT 1 FROM units u WHERE u.unit = o.unit) AS unit,
				o.request IS NOT NULL AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.request = o.request) AS request
				FROM outcomes o)
			SELECT count(*) FILTER (experiment) AS experiment, count(*) FILTER (unit AND NOT experiment) AS unit,
				count(*) FILTER (request AND NOT experiment) AS request FROM judged`,
		),
	);
	return { unit: Number(row?.unit ?? 0), request: Number(row?.request ?? 0), experiment: Number(row?.experiment ?? 0) };
}

/** Refreshes the gauges that need a look into the store. */
export async function gaugeStore(store: EventStore, meter: Meter): Promise<void> {
	const waiting = await waitingOutcomes(store);
	for (const [unknown, rows] of Object.entries(waiting)) {
		meter.gauge(GAUGES.waiting.name, GAUGES.waiting.help, rows, { unknown });
	}
	for (const table of TABLES) {
		const [row] = await store.analysis.transaction((transaction) =>
			transaction.rows(`SELECT count(*) AS n FROM ${table}`),
		);
		meter.gauge(GAUGES.rows.name, GAUGES.rows.help, Number(row?.n ?? 0), { table });
	}
}
