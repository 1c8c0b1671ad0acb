/** A token bucket for each who asks for costly cryptography: one caller cannot spend the time of all. */
import { TOKEN_PAYER, TOKEN_PAYERS_MAX } from "../limits.js";

interface Bucket {
	level: number;
	atMs: number;
}

export class Payers {
	/** The one seen last is last. */
	readonly #buckets = new Map<string, Bucket>();

	constructor(
		private readonly rate: { readonly burst: number; readonly perSecond: number } = TOKEN_PAYER,
		private readonly max: number = TOKEN_PAYERS_MAX,
	) {}

	/** Whether the payer may have one more signature verified now; it is counted. */
	pay(payer: string, monotonicMs: number): boolean {
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
		if (bucket.level < 1) return false;
		bucket.level--;
		return true;
	}
}
