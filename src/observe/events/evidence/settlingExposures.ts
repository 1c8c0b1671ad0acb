/**
 * Exposures until it is sure that they stand.
 *
 * A late unit (planReader.ts) is first told of when its request is sent on, when Envoy's periodic entry is written, or when
 * it ends: of two requests the faster is heard of first, and of two arms the one that has a connection. One that waits two
 * periodic intervals is counted with the unit's true first request, and sample-ratio tests see both arms equally far.
 *
 * The others, on open Services, are told of before any filter: a request that is refused takes its exposure back. It does so
 * soon after it was heard of; not after it began, for its client decides how long its head takes.
 */
import { ACCESS_LOG_PERIODIC_MS, EXPOSURE_SETTLES_MS, UNIT_CACHE_MAX } from "../../../limits/index.js";
import type { Exposure, RequestKey } from "../store/requestRow.js";

const LATE_SETTLES_MS = 2 * ACCESS_LOG_PERIODIC_MS;

export class SettlingExposures {
	/** By request: that of another request of the unit stands where one is taken back. */
	readonly #waiting = new Map<bigint, { readonly exposure: Exposure; readonly late: boolean }>();

	/** @param settlesMs how long an exposure waits whose unit came with the request */
	constructor(private readonly settlesMs: number = EXPOSURE_SETTLES_MS) {}

	get size(): number {
		return this.#waiting.size;
	}

	/** Of several entries of a request the first is kept. */
	add(request: RequestKey, exposure: Exposure, late: boolean): void {
		const key = keyOf(request);
		if (!this.#waiting.has(key)) this.#waiting.set(key, { exposure, late });
	}

	/** The request was refused. */
	takeBack(request: RequestKey): void {
		this.#waiting.delete(keyOf(request));
	}

	/** Takes out those that were heard of long enough before `nowMs`, and the oldest that are more than can be kept. */
	take(nowMs: number): readonly Exposure[] {
		const settled: Exposure[] = [];
		for (const [key, { exposure, late }] of this.#waiting) {
			const waits = exposure.receivedMs + this.settlesMs > nowMs || (late && isEarly(exposure, nowMs));
			if (waits && this.#waiting.size <= UNIT_CACHE_MAX) continue;
			settled.push(exposure);
			this.#waiting.delete(key);
		}
		return settled;
	}

	/** The last before an end. Where of late units the faster alone were told of, none is: the others come too late. */
	takeLast(nowMs: number): readonly Exposure[] {
		const all = [...this.#waiting.values()].filter(({ exposure, late }) => !late || !isEarly(exposure, nowMs));
		this.#waiting.clear();
		return all.map(({ exposure }) => exposure);
	}
}

/** Others that began with it may not be told of yet. An Envoy's clock may be ahead: nobody hears of what has not begun. */
const isEarly = ({ firstMs, receivedMs }: Exposure, nowMs: number): boolean =>
	Math.min(firstMs, receivedMs) + LATE_SETTLES_MS > nowMs;

/** Ids are pseudonyms of 128 bits: with the time in their lowest ones, they stay as unlikely to meet. */
const keyOf = ({ request, startUs }: RequestKey): bigint => request ^ BigInt(startUs);
