/**
 * What is removed and when. Entries and outcomes are needed until every observation that they may enter is
 * closed; then the observations speak for them. Units and observations stay: they are the evidence.
 */
import {
	DECISIONS_KEPT_MS,
	DECISIONS_ROWS_MAX,
	EVENTS_MARGIN_MS,
	IDEMPOTENCY_KEPT_MS,
	OTHERS_PRUNED_MS,
} from "../limits.js";
import { namespaceOf } from "../resources/resource.js";
import { text } from "./dialect.js";
import { whole } from "./eras.js";
import { COUNTERS, GAUGES, type Meter } from "./meter.js";
import type { MetricDeclaration } from "./metricDeclaration.js";
import { TABLES } from "./schema.js";
import type { EventStore, Lane } from "./store.js";

/**
 * How long rows of each namespace are needed, in ms: the longest of its Metrics as they are declared now, with what lies before
 * the first exposure and counts as a covariate, and with their settling times. What was declared once is past: units that are
 * still open close by what is declared now.
 */
export function neededOf(declared: Iterable<MetricDeclaration>): ReadonlyMap<string, number> {
	const needed = new Map<string, number>();
	for (const { name, windowMs, settleMs = 0, covariateMs } of declared) {
		const namespace = namespaceOf(name);
		needed.set(namespace, Math.max(needed.get(namespace) ?? 0, windowMs + settleMs + (covariateMs ?? 0)));
	}
	return needed;
}

/** Removes entries and outcomes past their time. */
export class Retention {
	/** What was needed when all namespaces were last looked through, and when. */
	#looked = { needed: "", atMs: Number.NEGATIVE_INFINITY };

	constructor(
		private readonly store: EventStore,
		private readonly meter: Meter,
	) {}

	/** What nobody needs goes at once; of namespaces that need less than another one within OTHERS_PRUNED_MS. */
	async prune(nowMs: number, needed: ReadonlyMap<string, number>): Promise<void> {
		const { entries, outcomes } = this.store;
		const keptMs = Math.max(0, ...needed.values()) + EVENTS_MARGIN_MS;
		// Each table on the lane that writes it, so that no two transactions meet in one table.
		await this.#remove(entries, "entries", "received_ms < $before", nowMs - keptMs);
		await this.#remove(entries, "openings", "last_ms < $before", nowMs - keptMs);
		await this.#remove(outcomes, "outcomes", "received_ms < $before", nowMs - keptMs);
		await this.#remove(outcomes, "idempotency", "at_ms < $before", nowMs - IDEMPOTENCY_KEPT_MS);
		const written = JSON.stringify([...needed]);
		if (written === this.#looked.needed && nowMs - this.#looked.atMs < OTHERS_PRUNED_MS) return;
		this.#looked = { needed: written, atMs: nowMs };
		for (const [lane, table, owner] of [
			[entries, "entries", "service"],
			[outcomes, "outcomes", "metric"],
		] as const) {
			await this.#remove(lane, table, pastIn(table, owner, needed), nowMs - EVENTS_MARGIN_MS);
		}
	}

	async #remove(lane: Lane, table: string, past: string, beforeMs: number): Promise<void> {
		const [removed] = await lane.transaction((transaction) =>
			transaction.rows(`DELETE FROM ${table} WHERE ${past}`, { before: BigInt(beforeMs) }),
		);
		const rows = Number(removed?.Count ?? 0);
		if (rows > 0) this.meter.count(COUNTERS.pruned.name, COUNTERS.pruned.help, { table }, rows);
	}
}

/**
 * Rows that lie before $before by more than their namespace needs.
 * @param owner column of the qualified name that the row is of
 */
function pastIn(table: string, owner: string, needed: ReadonlyMap<string, number>): string {
	const values = [...needed].map(([namespace, ms]) => `(${text(namespace)}, ${whole(ms)})`);
	const namespace = `CASE WHEN contains(r.${owner}, '/') THEN split_part(r.${owner}, '/', 1) ELSE ${text(namespaceOf(""))} END`;
	return `rowid IN (SELECT r.rowid FROM ${table} r
		LEFT JOIN (VALUES ${["(NULL, 0::BIGINT)", ...values].join(", ")}) n(namespace, needed_ms) ON n.namespace = ${namespace}
		WHERE r.received_ms < $before - coalesce(n.needed_ms, 0))`;
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
