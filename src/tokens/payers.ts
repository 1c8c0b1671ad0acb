/** A token bucket for each who asks for costly cryptography: one caller cannot spend the time of all. */
import { TOKEN_PAYERS_MAX } from "../limits.js";

export interface Rate {
	readonly burst: number;
	readonly perSecond: number;
}

interface Bucket {
	level: number;
	atMs: number;
}

export class Payers {
	/** The one seen last is last. */
	readonly #buckets = new Map<string, Bucket>();

	constructor(
		private readonly rate: Rate,
		private readonly max: number = TOKEN_PAYERS_MAX,
	) {}

	/** Whether the payer may have one more now; it is counted. */
	pay(payer: string, monotonicMs: number): boolean {
		const bucket = this.#bucket(payer, monotonicMs);
		if (bucket.level < 1) return false;
		bucket.level--;
		return true;
	}

	has(payer: string): boolean {
		return this.#buckets.has(payer);
	}

	/** How many the payer may have now. */
	level(payer: string, monotonicMs: number): number {
		return this.#bucket(payer, monotonicMs).level;
	}

	/** What was paid shall not count after all. */
	refund(payer: string, monotonicMs: number): void {
		this.#bucket(payer, monotonicMs).level++;
	}

	#bucket(payer: string, monotonicMs: number): Bucket {
		const { burst, perSecond } = this.rate;
		const bucket = this.#buckets.get(payer) ?? { level: burst, atMs: monotonicMs };
		this.#buckets.delete(payer);
		this.#buckets.set(payer, bucket);
		if (this.#buckets.size > this.max) {
			const [oldest] = this.#buckets.keys();
			if (oldest !== undefined) this.#buckets.delete(oldest);
		}
		bucket.level = Math.min(burst, bucket.level + ((monotonicMs - bucket.atMs) * perSecond) / 1_000);
		bucket.atMs = monotonicMs;
		return bucket;
	}
}
