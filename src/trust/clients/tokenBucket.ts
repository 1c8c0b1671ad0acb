/** A token bucket on a monotonic clock. */
export class TokenBucket {
	#level: number;

	/**
	 * Starts full.
	 * @param tokens refilled in `perMs`
	 */
	constructor(
		private readonly burst: number,
		private readonly tokens: number,
		private readonly perMs: number,
		private atMs: number,
	) {
		this.#level = burst;
	}

	/** Tokens left. */
	level(monotonicMs: number): number {
		this.#level = Math.min(this.burst, this.#level + ((monotonicMs - this.atMs) * this.tokens) / this.perMs);
		this.atMs = monotonicMs;
		return this.#level;
	}

	/** @param tokens negative to give back */
	take(tokens: number): void {
		this.#level -= tokens;
	}

	/** Milliseconds until there are that many; 0 = now. */
	waitMs(tokens: number, monotonicMs: number): number {
		return Math.max(0, Math.ceil(((tokens - this.level(monotonicMs)) * this.perMs) / this.tokens));
	}
}
