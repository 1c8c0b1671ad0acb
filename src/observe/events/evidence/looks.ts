/**
 * Cache of looks. A look takes in new units and conflicts, and units that became due; observed rows never change. Without
 * any of these, and for the same query, the aggregates are unchanged: the cached evidence is returned, and only data
 * outside aggregates (health, losses, the newest times) is read again. Nothing is written to the store.
 *
 * In memory, for one store, only for committed looks: after a restart each experiment needs one full look.
 */

import type { Evidence, EvidenceQuery } from "../../../infer/statistics/evidence.js";
import { RESOURCES_MAX } from "../../../limits/index.js";
import type { Transaction } from "../store/store.js";
import { definitionOf, dueMs, maturityOf, whole } from "./eras.js";

/**
 * Experiments whose last evaluation is cached, some 10 KB each. With fewer than all, evaluation in turn would never hit
 * the cache.
 */
const LOOKS_KEPT_MAX = RESOURCES_MAX;

/** A full look, and the state that makes it reusable. */
export interface Look {
	/** The query. */
	readonly asked: string;
	readonly atMs: number;
	/** The newest ordinals seen, of all experiments, and the number of its own live-point rows. */
	readonly unit: number;
	readonly conflict: number;
	readonly points: number;
	/** When the next unit is due: Infinity = none. null: not computed, as units come at every look. */
	readonly nextDueMs: number | null;
	/** Losses since then count; null: as the query defines. */
	readonly lossesSinceMs: number | null;
	readonly evidence: Evidence;
}

export class Looks {
	readonly #last = new Map<string, Look>();
	readonly #lookedMs = new Map<string, number>();

	/** The last full look, if its query is the same and its time is not in the future. */
	last(query: EvidenceQuery, nowMs: number): Look | null {
		const look = this.#last.get(query.experiment);
		return look !== undefined && look.asked === queryKey(query) && look.atMs <= nowMs ? look : null;
	}

	/** When an experiment was last looked at, if known: a look without new data is not stored. */
	lookedMs(experiment: string): number | null {
		return this.#lookedMs.get(experiment) ?? null;
	}

	/** Call after each look, also one without new data. */
	looked(experiment: string, atMs: number): void {
		this.#lookedMs.delete(experiment);
		const [oldest] = this.#lookedMs.keys();
		if (oldest !== undefined && this.#lookedMs.size >= LOOKS_KEPT_MAX) this.#lookedMs.delete(oldest);
		this.#lookedMs.set(experiment, atMs);
	}

	/** Call once the look is committed. Drops the oldest look above the limit. */
	keep(look: Look): void {
		const { experiment } = look.evidence;
		this.#last.delete(experiment);
		const [oldest] = this.#last.keys();
		if (oldest !== undefined && this.#last.size >= LOOKS_KEPT_MAX) this.#last.delete(oldest);
		this.#last.set(experiment, look);
	}
}

/** The part of the query that aggregates depend on. Crossings with other experiments are read from units, never cached. */
export function queryKey({ healthSinceMs, ...asked }: EvidenceQuery): string {
	return JSON.stringify(asked);
}

/** Whether units, conflicts or live points of the experiment have come since the look. */
export async function hasGrown(
	transaction: Transaction,
	experiment: string,
	{ unit, conflict, points }: Look,
): Promise<boolean> {
	const [found] = await transaction.rows(
		`SELECT EXISTS (FROM units WHERE experiment = $experiment AND ordinal > ${whole(unit)})
			OR EXISTS (FROM conflicts WHERE experiment = $experiment AND ordinal > ${whole(conflict)})
			OR (SELECT count(*) FROM live_points WHERE experiment = $experiment) <> ${points} AS grown`,
		{ experiment },
	);
	return found?.grown !== false;
}

/** When the next known unit is due at or after now, in any or all of the metrics; Infinity: never. */
export async function nextDueMs(transaction: Transaction, query: EvidenceQuery, nowMs: number): Promise<number> {
	const { experiment, metrics, exposedAfterMs, closeUntilMs } = query;
	if (closeUntilMs !== undefined && closeUntilMs <= nowMs) return Number.POSITIVE_INFINITY;
	const definitions = [
		...metrics.map((metric) => definitionOf(metric, exposedAfterMs)),
		maturityOf(metrics, exposedAfterMs),
	].filter((one) => one !== null);
	const columns = definitions.map(({ times, afterMs }, index) => {
		const due = dueMs(times);
		return `min(${due}) FILTER (${due} >= ${whole(nowMs)} AND u.first_ms > ${whole(afterMs)}) AS d${index}`;
	});
	const [row = {}] = await transaction.rows(
		`SELECT ${[...new Set(columns)].join(", ")} FROM units u WHERE u.experiment = $experiment`,
		{ experiment },
	);
	return Math.min(...Object.values(row).map((value) => (value === null ? Number.POSITIVE_INFINITY : Number(value))));
}
