/**
 * Times of which records may be missing: one record for each Envoy whose access-log entries did not arrive, once it is heard again
 * and at the latest after GAP_RECORDED_MS, and one for what ingest itself did not store.
 */
import { GAP_ENVOYS_MAX, GAP_MARGIN_MS, GAP_OVER_MS, GAP_RECORDED_MS } from "../../../limits/index.js";
import { LRUCache } from "../store/lru.js";
import { type DecisionRecord, type GAP_REASONS, NOTHING_ELSE } from "./decisionRecord.js";

/** An Envoy as its stream names it; both null = unknown, or all. */
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
	/** Records or entries that are missing; 0 = unknown how many, or whether any. */
	readonly count: number;
}

export class Gaps {
	readonly #gaps = new Map<string, Gap>();
	/** Until when a gap was recorded of Envoys that have not been heard again since. */
	readonly #away = new LRUCache<string, number>({ max: GAP_ENVOYS_MAX });

	/** Entries of an Envoy may be missing between. */
	notReceived({ gateway, principal }: GapOf, fromMs: number, untilMs: number, count = 0): void {
		this.#add({ reason: "not-received", gateway, principal, count, ...within(fromMs, untilMs) });
	}

	/** Its connection broke: nothing is heard of it until `heard`. */
	broke(of: GapOf, fromMs: number, nowMs: number): void {
		this.notReceived(of, fromMs, nowMs);
		this.#away.set(nameOf(of), nowMs);
	}

	/** It has sent something by a new connection. */
	heard(of: GapOf, nowMs: number): void {
		const sinceMs = this.#away.get(nameOf(of));
		if (sinceMs === undefined) return;
		this.#away.delete(nameOf(of));
		this.notReceived(of, sinceMs, nowMs);
	}

	/** Records that ingest had and did not store. */
	notStored(count: number, fromMs: number, untilMs: number): void {
		this.#add({ ...ANY_ENVOY, reason: "not-stored", count, ...within(fromMs, untilMs) });
	}

	/** Whether records were not stored, and that is not recorded yet. */
	get dropping(): boolean {
		return this.#gaps.has(keyOf({ ...ANY_ENVOY, reason: "not-stored" }));
	}

	/** When the first gap began that is not recorded yet; Infinity = there is none. */
	get oldestMs(): number {
		return Math.min(...[...this.#gaps.values()].map(({ fromMs }) => fromMs));
	}

	/** Records of gaps that are over, or have lasted long enough. Each is returned once. */
	take(nowMs: number, all: boolean): readonly DecisionRecord[] {
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
		// Of so many Envoys at once the gaps have one record together.
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
