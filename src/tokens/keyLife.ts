/**
 * What is read of a JSON Web Key Set, over its life: fetched when it is needed, kept while it may be, gone when it must
 * be. The sidecar's keys and those that control publishes live by it alike.
 */
import { KEYS_RETRY_MS } from "../limits.js";

export interface KeysOptions {
	/** The bytes of the set, size-bounded and in bounded time; rejects where they cannot be had. */
	readonly load: () => Promise<Uint8Array>;
	/** How long a set is fresh; how long it serves when no newer one can be had; the pause between two looks. */
	readonly times: { readonly fresh: number; readonly stale: number; readonly cooldown: number };
	readonly monotonicMs: () => number;
	/** Told of each failed look, and once of a set by which no token holds, in words without anything of the answer. */
	readonly failed?: (why: string) => void;
}

export class KeyLife<Read> {
	#held: Read | null = null;
	/** When the set in use was had. */
	#hadMs = Number.NEGATIVE_INFINITY;
	#nextLookMs = Number.NEGATIVE_INFINITY;
	#failures = 0;
	#looking: Promise<void> | null = null;

	/**
	 * @param read null = the bytes are no set
	 * @param taken told of each set that was had
	 */
	constructor(
		private readonly options: KeysOptions,
		private readonly read: (bytes: Uint8Array) => Read | null,
		private readonly taken: (read: Read) => void = () => {},
	) {}

	/** null = there is none, or it is too old to be believed. Nothing is looked for. */
	get held(): Read | null {
		return this.#ageMs() <= this.options.times.stale ? this.#held : null;
	}

	/**
	 * Whether what was read may still be believed now. What is no longer fresh is looked for again, meanwhile it serves:
	 * no request waits for that.
	 */
	serving(): boolean {
		if (this.#ageMs() > this.options.times.fresh) void this.look();
		return this.held !== null;
	}

	/** Looks once, however many ask; at once where the last look was too short ago. Never rejects. */
	look(): Promise<void> {
		if (this.#looking !== null) return this.#looking;
		const now = this.options.monotonicMs();
		if (now < this.#nextLookMs) return DONE;
		this.#nextLookMs = now + this.options.times.cooldown;
		this.#looking = this.#load().finally(() => {
			this.#looking = null;
		});
		return this.#looking;
	}

	#ageMs(): number {
		return this.options.monotonicMs() - this.#hadMs;
	}

	async #load(): Promise<void> {
		const { load, times, monotonicMs, failed } = this.options;
		let why = "it is no JWKS";
		try {
			const read = this.read(await load());
			if (read !== null) {
				this.#held = read;
				this.#hadMs = monotonicMs();
				this.#failures = 0;
				this.taken(read);
				return;
			}
		} catch (error) {
			why = error instanceof Error ? error.message : String(error);
		}
		this.#nextLookMs = monotonicMs() + Math.min(times.cooldown, KEYS_RETRY_MS * 2 ** this.#failures++);
		failed?.(why);
	}
}

const DONE = Promise.resolve();
