/** A token bucket for each who asks for costly cryptography: one caller cannot spend the time of all. */
import { TOKEN_PAYERS_MAX } from "../../limits/index.js";
import { TokenBucket } from "../clients/tokenBucket.js";

export interface Rate {
	readonly burst: number;
	readonly perSecond: number;
}

export class Payers {
	/** The one seen last is last. */
	readonly #buckets = new Map<string, TokenBucket>();

	constructor(
		private readonly rate: Rate,
		private readonly max: number = TOKEN_PAYERS_MAX,
	) {}

	/** Whether the payer may have one more now; it is counted. */
	pay(payer: string, monotonicMs: number): boolean {
		const bucket = this.#bucket(payer, monotonicMs);
		if (bucket.level(monotonicMs) < 1) return false;
		bucket.take(1);
		return true;
	}

	has(payer: string): boolean {
		return this.#buckets.has(payer);
	}

	/** How many the payer may have now. */
	level(payer: string, monotonicMs: number): number {
		return this.#bucket(payer, monotonicMs).level(monotonicMs);
	}

	/** What was paid shall not count after all. */
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
