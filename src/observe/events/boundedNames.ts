/** Bounds the caller-chosen names kept for each SPIFFE id in one period; further names are merged. */

/** Distinct names recorded in refusals of one SPIFFE id: Gateways (unverified) of streams, and Metrics of outcomes. */
export const REFUSED_NAMES_MAX = 20;

export class BoundedNames {
	/** Names of the current period, by SPIFFE id. */
	readonly #names = new Map<string | null, Set<string>>();
	#sinceMs = performance.now();

	/** @param everyMs length of a period */
	constructor(private readonly everyMs: number) {}

	/** @returns the name; null = above the limit */
	of(id: string | null, name: string): string | null {
		const nowMs = performance.now();
		if (nowMs - this.#sinceMs >= this.everyMs) {
			this.#sinceMs = nowMs;
			this.#names.clear();
		}
		const known = this.#names.get(id) ?? new Set();
		if (known.size < REFUSED_NAMES_MAX) this.#names.set(id, known.add(name));
		return known.has(name) ? name : null;
	}
}
