/**
 * Times with missing records: one record for each Envoy whose access-log entries did not arrive, written when it reports
 * again or after GAP_RECORDED_MS, and one for records that ingest did not store.
 */
import { LRUCache } from "../lru.js";
import { type AccessRecord, type GAP_REASONS, NOTHING_ELSE } from "./accessRecord.js";

/**
 * Added to both ends of a gap. Envoy writes entries every 200 ms, also into a connection that is not yet open, for which
 * it waits a second. Entries that it wrote are lost (1.36.2 and 1.40.0: the first lost one had ended 210 ms before
 * ingest was killed).
 */
export const GAP_MARGIN_MS = 1_000;

/** Losses this far apart are two gaps; a continuing gap is recorded at the second interval. */
export const GAP_OVER_MS = 5_000;
const GAP_RECORDED_MS = 60_000;

/** Envoys and Gateways that have separate gaps. */
export const GAP_ENVOYS_MAX = 4_096;

/** An Envoy as named by its stream; both null = unknown, or all. */
export interface GapOf {
	readonly gateway: string | null;
	/** SPIFFE id of the Envoy. */
	readonly principal: string | null;
}

export const ANY_ENVOY: GapOf = { gateway: null, principal: null };

interface Gap extends GapOf {
	readonly reason: (typeof GAP_REASONS)[number];
	/** Epoch milliseconds. */
	readonly fromMs: number;
	readonly untilMs: number;
	/** Number of missing records or entries; 0 = unknown, perhaps none. */
	readonly count: number;
}

export class Gaps {
	readonly #gaps = new Map<string, Gap>();
	/** Envoys that have not reported again, with the end of their last recorded gap. */
	readonly #away = new LRUCache<string, number>({ max: GAP_ENVOYS_MAX });

	/** Entries of an Envoy may be missing between these times. */
	notReceived({ gateway, principal }: GapOf, fromMs: number, untilMs: number, count = 0): void {
		this.#add({ reason: "not-received", gateway, principal, count, ...within(fromMs, untilMs) });
	}

	/** Its connection broke: entries may be missing until `heard`. */
	broke(of: GapOf, fromMs: number, nowMs: number): void {
		this.notReceived(of, fromMs, nowMs);
		this.#away.set(nameOf(of), nowMs);
	}

	/** It sent a message on a new connection. */
	heard(of: GapOf, nowMs: number): void {
		const sinceMs = this.#away.get(nameOf(of));
		if (sinceMs === undefined) return;
		this.#away.delete(nameOf(of));
		this.notReceived(of, sinceMs, nowMs);
	}

	/** Ingest had these records and did not store them. */
	notStored(count: number, fromMs: number, untilMs: number): void {
		this.#add({ ...ANY_ENVOY, reason: "not-stored", count, ...within(fromMs, untilMs) });
	}

	/** Whether there are unstored records without a recorded gap. */
	get dropping(): boolean {
		return this.#gaps.has(keyOf({ ...ANY_ENVOY, reason: "not-stored" }));
	}

	/** Start of the oldest unrecorded gap; Infinity = none. */
	get oldestMs(): number {
		return Math.min(...[...this.#gaps.values()].map(({ fromMs }) => fromMs));
	}

	/** Records of gaps that have ended or lasted long enough. Each is returned once. */
	take(nowMs: number, all: boolean): readonly AccessRecord[] {
		const due = [...this.#gaps].filter(
			([, { fromMs, untilMs }]) => all || nowMs - untilMs >= GAP_OVER_MS || nowMs - fromMs >= GAP_RECORDED_MS,
		);
		for (const [key] of due) this.#gaps.delete(key);
		return due.map(([, { fromMs, untilMs, ...gap }]) => ({
			...NOTHING_ELSE,
			...gap,
			kind: "records-missing",
			atMs: fromMs,
			latencyMs: Math.max(0, untilMs - fromMs),
		}));
	}

	#add(gap: Gap): void {
		// Above the limit of Envoys, their gaps share one record.
		const named = this.#gaps.has(keyOf(gap)) || this.#gaps.size < GAP_ENVOYS_MAX ? gap : { ...gap, ...ANY_ENVOY };
		const before = this.#gaps.get(keyOf(named)) ?? named;
		this.#gaps.set(keyOf(named), {
			...named,
			fromMs: Math.min(gap.fromMs, before.fromMs),
			untilMs: Math.max(gap.untilMs, before.untilMs),
			count: before === named ? gap.count : gap.count + before.count,
		});
	}
}

const within = (fromMs: number, untilMs: number): Pick<Gap, "fromMs" | "untilMs"> => ({
	fromMs: fromMs - GAP_MARGIN_MS,
	untilMs: untilMs + GAP_MARGIN_MS,
});

const nameOf = ({ gateway, principal }: GapOf): string => JSON.stringify([gateway, principal]);
const keyOf = (gap: Pick<Gap, "reason" | "gateway" | "principal">): string => `${gap.reason} ${nameOf(gap)}`;
