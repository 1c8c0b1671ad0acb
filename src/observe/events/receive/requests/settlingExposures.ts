/**
 * Exposures that may still be withdrawn.
 *
 * A late unit (planReader.ts) is first reported when its request is sent upstream, by Envoy's periodic entry, or at its
 * end. So of two requests the faster is reported first, and of two arms the one with a free connection. After two periodic
 * intervals the unit's true first request is known, and sample-ratio tests are not biased.
 *
 * On open Services exposures are reported before any filter, and a refused request withdraws its exposure. The wait counts
 * from arrival, not from the request's start, because the client decides how long its headers take.
 */
import { ACCESS_LOG_PERIODIC_MS, UNIT_CACHE_MAX } from "../../../../limits/index.js";
import type { Exposure, RequestKey } from "./requestRow.js";

/**
 * How long an exposure may be revoked after its first log entry. On an open Service the start of a request makes it, and
 * a refusal by access rules or rate limits is logged one flush later.
 */
export const EXPOSURE_SETTLES_MS = 1_000;

const LATE_SETTLES_MS = 2 * ACCESS_LOG_PERIODIC_MS;

export class SettlingExposures {
	/** By request: if one is withdrawn, the unit's exposure by another request stays. */
	readonly #waiting = new Map<bigint, { readonly exposure: Exposure; readonly late: boolean }>();

	/** @param settlesMs how long an exposure waits if its unit came with the request */
	constructor(private readonly settlesMs: number = EXPOSURE_SETTLES_MS) {}

	get size(): number {
		return this.#waiting.size;
	}

	/** Keeps the first of several entries of a request. */
	add(request: RequestKey, exposure: Exposure, late: boolean): void {
		const key = keyOf(request);
		if (!this.#waiting.has(key)) this.#waiting.set(key, { exposure, late });
	}

	/** Withdraws a refused request's exposure. */
	withdraw(request: RequestKey): void {
		this.#waiting.delete(keyOf(request));
	}

	/** Removes and returns exposures that arrived long enough before `nowMs`, and the oldest above the limit. */
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

	/** The last exposures at the end. Late units that are still waiting are dropped: only the faster ones were reported. */
	takeLast(nowMs: number): readonly Exposure[] {
		const all = [...this.#waiting.values()].filter(({ exposure, late }) => !late || !isEarly(exposure, nowMs));
		this.#waiting.clear();
		return all.map(({ exposure }) => exposure);
	}
}

/** Earlier requests may not be reported yet. An Envoy's clock may be ahead, but no request is reported before it starts. */
const isEarly = ({ firstMs, receivedMs }: Exposure, nowMs: number): boolean =>
	Math.min(firstMs, receivedMs) + LATE_SETTLES_MS > nowMs;

/** Ids are pseudonyms of 128 bits; the time in their lowest bits keeps collisions as unlikely. */
const keyOf = ({ request, startUs }: RequestKey): bigint => request ^ BigInt(startUs);
