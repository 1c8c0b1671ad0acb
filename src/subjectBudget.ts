/**
 * What each subject has left of something that all share: a token bucket each. In memory only: a restart fills all of
 * them.
 */
import { ACTING_SUBJECTS_MAX } from "./limits.js";
import { TokenBucket } from "./tokenBucket.js";

const HOUR_MS = 3_600_000;

export class SubjectBudget {
	readonly #buckets = new Map<string, TokenBucket>();

	constructor(
		private readonly atOnce: number,
		private readonly perHour: number,
		private readonly subjectsMax = ACTING_SUBJECTS_MAX,
		private readonly monotonicMs = () => performance.now(),
	) {}

	/** Milliseconds until the subject has as much left, or all that it may have; nothing is taken. */
	waitMs(subject: string, amount: number): number {
		return this.#bucketOf(subject).waitMs(Math.min(amount, this.atOnce), this.monotonicMs());
	}

	/**
	 * Takes as much from what the subject has left; what is more than it may have at once waits for all of that, and is owed.
	 * @returns milliseconds until it has as much, and nothing is taken; 0 = taken
	 */
	take(subject: string, amount: number): number {
		const waitMs = this.waitMs(subject, amount);
		if (waitMs === 0) this.#bucketOf(subject).take(amount);
		return waitMs;
	}

	/** Takes what cannot wait, or has been used, also where nothing is left: what comes next waits for longer. */
	owe(subject: string, amount: number): void {
		this.#bucketOf(subject).take(amount);
	}

	/** What the subject has taken and does not have again yet. */
	taken(subject: string): number {
		return this.atOnce - this.#bucketOf(subject).level(this.monotonicMs());
	}

	#bucketOf(subject: string): TokenBucket {
		const key = this.#keyOf(subject);
		const bucket = this.#buckets.get(key) ?? new TokenBucket(this.atOnce, this.perHour, HOUR_MS, this.monotonicMs());
		this.#buckets.set(key, bucket);
		return bucket;
	}

	/** No subject is empty, so the shared bucket is nobody's. */
	#keyOf(subject: string): string {
		if (this.#buckets.has(subject) || this.#buckets.size < this.subjectsMax) return subject;
		const nowMs = this.monotonicMs();
		for (const [key, bucket] of this.#buckets) {
			if (bucket.level(nowMs) >= this.atOnce) this.#buckets.delete(key);
		}
		return this.#buckets.size < this.subjectsMax ? subject : "";
	}
}
