/**
 * Looks at nothing new. What a look takes in are units and conflicts that came since the last one, and units that have
 * fallen due; rows that were observed never change. While there are none of these, and the same is asked, aggregates say
 * what they said: the evidence that was made of them is given again, and only what does not come of aggregates (health,
 * losses, the newest times) is asked anew. The store is not written to.
 *
 * Kept in memory, of looks that were committed, for one store: a restart costs one whole look at each experiment.
 */
import type { Evidence, EvidenceQuery } from "../../../infer/statistics/evidence.js";
import { LOOKS_KEPT_MAX } from "../../../limits/index.js";
import type { Transaction } from "../store/store.js";
import { definitionOf, dueMs, maturityOf, whole } from "./eras.js";

/** A whole look, and what would make the next one another. */
export interface Look {
	/** What was asked. */
	readonly asked: string;
	readonly atMs: number;
	/** The newest ordinals that it saw, of all experiments, and how many rows of live points of its own. */
	readonly unit: number;
	readonly conflict: number;
	readonly points: number;
	/** When the next unit falls due: Infinity, none. null: not asked for, as where units come at every look. */
	readonly nextDueMs: number | null;
	/** Losses since then count; null: as the query says. */
	readonly lossesSinceMs: number | null;
	readonly evidence: Evidence;
}

export class Looks {
	readonly #last = new Map<string, Look>();
	readonly #lookedMs = new Map<string, number>();

	/** The last whole look at it, if it asked the same and lies not after now. */
	last(query: EvidenceQuery, nowMs: number): Look | null {
		const look = this.#last.get(query.experiment);
		return look !== undefined && look.asked === askedOf(query) && look.atMs <= nowMs ? look : null;
	}

	/** When an experiment was last looked at, if that is remembered: looks at nothing new leave nothing in the store. */
	lookedMs(experiment: string): number | null {
		return this.#lookedMs.get(experiment) ?? null;
	}

	/** To be called after each look, at nothing new too. */
	looked(experiment: string, atMs: number): void {
		this.#lookedMs.delete(experiment);
		const [oldest] = this.#lookedMs.keys();
		if (oldest !== undefined && this.#lookedMs.size >= LOOKS_KEPT_MAX) this.#lookedMs.delete(oldest);
		this.#lookedMs.set(experiment, atMs);
	}

	/** To be called once the look is committed. The one that was kept longest makes room. */
	keep(look: Look): void {
		const { experiment } = look.evidence;
		this.#last.delete(experiment);
		const [oldest] = this.#last.keys();
		if (oldest !== undefined && this.#last.size >= LOOKS_KEPT_MAX) this.#last.delete(oldest);
		this.#last.set(experiment, look);
	}
}

/** All that the aggregates hang on. Crossings with other experiments are read from units: those are never kept. */
export function askedOf({ healthSinceMs, ...asked }: EvidenceQuery): string {
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

/** When the next of the units that are there falls due at or after now, in any of the metrics or all; Infinity: never. */
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
