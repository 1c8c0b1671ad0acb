/** A token bucket per caller for costly cryptography. */
import { TokenBucket } from "../clients/tokenBucket.js";

/** Payers whose quotas are cached; the least recently seen is dropped and starts with a full quota. */
const TOKEN_PAYERS_MAX = 10_000;

export interface Rate {
	readonly burst: number;
	readonly perSecond: number;
}

export class Payers {
	/** Least recently used first. */
	readonly #buckets = new Map<string, TokenBucket>();

	constructor(
		private readonly rate: Rate,
		private readonly max: number = TOKEN_PAYERS_MAX,
	) {}

	/** Takes one; false if the payer has none left. */
	pay(payer: string, monotonicMs: number): boolean {
		const bucket = this.#bucket(payer, monotonicMs);
		if (bucket.level(monotonicMs) < 1) return false;
		bucket.take(1);
		return true;
	}

	has(payer: string): boolean {
		return this.#buckets.has(payer);
	}

	/** How many the payer has left. */
	level(payer: string, monotonicMs: number): number {
		return this.#bucket(payer, monotonicMs).level(monotonicMs);
	}

	refund(payer: string, monotonicMs: number): void {
		this.#bucket(payer, monotonicMs).take(-1);
	}

	#bucket(payer: string, monotonicMs: number): TokenBucket {
		const { burst, perSecond } = this.rate;
		const bucket = this.#buckets.get(payer) ?? new TokenBucket(burst, perSecond, 1_000, monotonicMs);
		this.#buckets.delete(payer);
		this.#buckets.set(payer, bucket);
		if (this.#buckets.size > this.max) {
			const [oldest] = this.#buckets.keys();
			if (oldest !== undefined) this.#buckets.delete(oldest);
		}
		return bucket;
	}
}
