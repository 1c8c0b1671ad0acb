/**
 * How many acts a subject has left: a token bucket each, so that nobody pushes others' acts out of the audit log in a day.
 * In memory only: a restart of control fills all of them.
 */
import { ACTING_SUBJECTS_MAX, ACTS_AT_ONCE_MAX, ACTS_PER_HOUR_MAX } from "../limits.js";

interface Bucket {
	readonly left: number;
	readonly atMs: number;
}

const HOUR_MS = 3_600_000;

export class ActBudget {
	readonly #buckets = new Map<string, Bucket>();

	constructor(
		private readonly atOnce = ACTS_AT_ONCE_MAX,
		private readonly perHour = ACTS_PER_HOUR_MAX,
		private readonly subjectsMax = ACTING_SUBJECTS_MAX,
	) {}

	/**
	 * Takes as many acts from what the subject has left.
	 * @returns milliseconds until it has as many, and nothing is taken; 0 = taken
	 */
	take(subject: string, acts: number, nowMs: number): number {
		const key = this.#keyOf(subject, nowMs);
		const left = this.#left(this.#buckets.get(key), nowMs);
		if (left < acts) return Math.ceil(((acts - left) * HOUR_MS) / this.perHour);
		this.#buckets.set(key, { left: left - acts, atMs: nowMs });
		return 0;
	}

	#left(bucket: Bucket | undefined, nowMs: number): number {
		if (bucket === undefined) return this.atOnce;
		const refilled = (Math.max(0, nowMs - bucket.atMs) * this.perHour) / HOUR_MS;
		return Math.min(this.atOnce, bucket.left + refilled);
	}

	/** No subject is empty, so the shared bucket is nobody's. */
	#keyOf(subject: string, nowMs: number): string {
		if (this.#buckets.has(subject) || this.#buckets.size < this.subjectsMax) return subject;
		for (const [key, bucket] of this.#buckets) {
			if (this.#left(bucket, nowMs) >= this.atOnce) this.#buckets.delete(key);
		}
		return this.#buckets.size < this.subjectsMax ? subject : "";
	}
}
