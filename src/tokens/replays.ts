/** What was seen once and must not be seen again, for as long as it would hold. Two generations: nothing is swept. */
import { REPLAYS_MAX } from "../limits.js";

export class Replays {
	#young = new Set<string>();
	#old = new Set<string>();
	#sinceMs = Number.NEGATIVE_INFINITY;

	/** @param keptMs each id is kept for at least so long, and at most for twice that */
	constructor(
		private readonly keptMs: number,
		private readonly max: number = REPLAYS_MAX,
	) {}

	/** "first": it may be taken, and is remembered. "full": nothing more can be remembered, so nothing may be taken. */
	take(id: string, monotonicMs: number): "first" | "again" | "full" {
		const passed = monotonicMs - this.#sinceMs;
		if (passed >= this.keptMs) {
			this.#old = passed >= 2 * this.keptMs ? new Set() : this.#young;
			this.#young = new Set();
			this.#sinceMs = monotonicMs;
		}
		if (this.#young.has(id) || this.#old.has(id)) return "again";
		if (this.#young.size + this.#old.size >= this.max) return "full";
		this.#young.add(id);
		return "first";
	}
}
