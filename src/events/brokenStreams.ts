/**
 * Access-log streams whose connection ended, and came again: what Envoy wrote meanwhile is lost, and it says nothing of that.
 * A stream that ends on a connection which stays is a listener's that was replaced: nothing is lost with it.
 */
import { BROKEN_AWAITED_MS, BROKEN_STREAMS_MAX, MISSING_MARGIN_MS } from "../limits.js";

/** Between these entries may be missing. */
export type TellBroken<Whose> = (fromMs: number, untilMs: number, whose: Whose) => void;

export class BrokenStreams<Whose> {
	/** Since when entries may be missing, by whose they are. */
	readonly #sinceMs = new Map<string, number>();
	/** When that was noticed. */
	readonly #noticedMs = new Map<string, number>();
	/** When the newest stream of each was heard first. */
	readonly #newestMs = new Map<string, number>();

	constructor(private readonly tell: TellBroken<Whose>) {}

	/** The first message of a stream. */
	heard(key: string, whose: Whose, nowMs: number): void {
		const sinceMs = this.#sinceMs.get(key);
		this.#sinceMs.delete(key);
		this.#noticedMs.delete(key);
		remember(this.#newestMs, key, nowMs);
		if (sinceMs !== undefined) this.tell(sinceMs - MISSING_MARGIN_MS, nowMs + MISSING_MARGIN_MS, whose);
	}

	/** @returns from when on entries may be missing of who has not come again, and is awaited; null = of nobody */
	oldestMs(nowMs: number): number | null {
		const awaited = [...this.#sinceMs].filter(
			([key]) => nowMs - (this.#noticedMs.get(key) ?? Number.NEGATIVE_INFINITY) < BROKEN_AWAITED_MS,
		);
		return awaited.length === 0 ? null : Math.min(...awaited.map(([, sinceMs]) => sinceMs)) - MISSING_MARGIN_MS;
	}

	/** @param sinceMs until when it was surely whole */
	broke(key: string, whose: Whose, sinceMs: number, noticedMs = sinceMs): void {
		const newestMs = this.#newestMs.get(key) ?? Number.NEGATIVE_INFINITY;
		// Its Envoy has noticed earlier, and is back already.
		if (newestMs > sinceMs) this.tell(sinceMs - MISSING_MARGIN_MS, newestMs + MISSING_MARGIN_MS, whose);
		else {
			remember(this.#sinceMs, key, Math.min(sinceMs, this.#sinceMs.get(key) ?? sinceMs));
			remember(this.#noticedMs, key, noticedMs);
		}
	}
}

/** Newest last; the oldest gives way. */
function remember(times: Map<string, number>, key: string, atMs: number): void {
	times.delete(key);
	times.set(key, atMs);
	const [oldest] = times.keys();
	if (times.size > BROKEN_STREAMS_MAX && oldest !== undefined) times.delete(oldest);
}
