/** Names that whoever was refused may choose at will: some of each SPIFFE id are told apart, in each while, and the rest is one. */
import { REFUSED_NAMES_MAX } from "../../limits/index.js";

export class ToldApart {
	/** Of this while, by id. */
	readonly #names = new Map<string | null, Set<string>>();
	#sinceMs = performance.now();

	/** @param everyMs how long a while is */
	constructor(private readonly everyMs: number) {}

	/** @returns the name; null = it is one of too many */
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
