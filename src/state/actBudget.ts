/**
 * How many acts a subject has left: a token bucket each, so that nobody pushes others' acts out of the audit log in a
 * day. In memory only: a restart of control fills all of them.
 */
import { ACTING_SUBJECTS_MAX, ACTS_AT_ONCE_MAX, ACTS_PER_HOUR_MAX } from "../limits.js";
import { TokenBucket } from "../tokenBucket.js";

const HOUR_MS = 3_600_000;

export class ActBudget {
	readonly #buckets = new Map<string, TokenBucket>();

	constructor(
		private readonly atOnce = ACTS_AT_ONCE_MAX,
		private readonly perHour = ACTS_PER_HOUR_MAX,
		private readonly subjectsMax = ACTING_SUBJECTS_MAX,
		private readonly monotonicMs = () => performance.now(),
	) {}

	/** Milliseconds until the subject has as many acts left; nothing is taken. */
	waitMs(subject: string, acts: number): number {
		return this.#bucketOf(subject).waitMs(acts, this.monotonicMs());
	}

	/**
	 * Takes as many acts from what the subject has left.
	 * @returns milliseconds until it has as many, and nothing is taken; 0 = taken
	 */
	take(subject: string, acts: number): number {
		const waitMs = this.waitMs(subject, acts);
		if (waitMs === 0) this.#bucketOf(subject).take(acts);
		return waitMs;
	}

	/** Takes acts that cannot wait, also where none is left: the next ones wait for longer. */
	owe(subject: string, acts: number): void {
		this.#bucketOf(subject).take(acts);
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
