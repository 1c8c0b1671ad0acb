/**
 * Exposures of units that a filter makes, until it is sure that no earlier one can come any more. Such a unit is
 * first told of when its request ends or when Envoy's periodic entry is written, so of two requests the faster is
 * heard of first, and of two arms the faster. An exposure that waits until two periodic intervals after the
 * request's start is counted with the unit's true first request, and sample-ratio tests see both arms equally far.
 */
import { ACCESS_LOG_PERIODIC_MS, UNIT_CACHE_MAX } from "../limits.js";
import type { Exposure } from "./requestRow.js";

const SETTLED_AFTER_MS = 2 * ACCESS_LOG_PERIODIC_MS;

export class SettlingExposures {
	/** By experiment, arm and unit: a unit seen in two arms must stay visible as such. */
	readonly #waiting = new Map<string, Exposure>();

	get size(): number {
		return this.#waiting.size;
	}

	add(exposure: Exposure): void {
		const key = `${exposure.experiment}|${exposure.arm}|${exposure.unit}`;
		const known = this.#waiting.get(key);
		if (known === undefined) this.#waiting.set(key, exposure);
		else if (exposure.firstMs < known.firstMs) {
			this.#waiting.set(key, { ...exposure, receivedMs: known.receivedMs });
		}
	}

	/** Takes out those whose request began long enough before `nowMs`; all where too many wait to keep them. */
	take(nowMs: number): readonly Exposure[] {
		if (this.#waiting.size > UNIT_CACHE_MAX) return this.takeAll();
		const settled: Exposure[] = [];
		for (const [key, exposure] of this.#waiting) {
			if (exposure.firstMs > nowMs - SETTLED_AFTER_MS) continue;
			settled.push(exposure);
			this.#waiting.delete(key);
		}
		return settled;
	}

	takeAll(): readonly Exposure[] {
		const all = [...this.#waiting.values()];
		this.#waiting.clear();
		return all;
	}
}
