/**
 * What is read of a JSON Web Key Set, over its life: fetched when it is needed, kept while it may be, gone when it must
 * be. The sidecar's keys and those that control publishes live by it alike.
 */
import { KEYS_NONE_RETRY_MS, KEYS_RETRY_MS } from "../../limits/index.js";

export interface KeysOptions {
	/** The bytes of the set, size-bounded and in bounded time; rejects where they cannot be had. */
	readonly load: () => Promise<Uint8Array>;
	/** How long a set is fresh; how long it serves when no newer one can be had; the pause between two looks. */
	readonly times: { readonly fresh: number; readonly stale: number; readonly cooldown: number };
	readonly monotonicMs: () => number;
	/** Told of each failed look, in words without anything of the answer. */
	readonly failed?: (why: string) => void;
}

export interface KeyReading<Read> {
	/** null = the bytes are no set. */
	readonly read: (bytes: Uint8Array) => Read | null;
	/** Whether there is no key in it by which a token holds. */
	readonly isEmpty: (read: Read) => boolean;
	/** Told of each set that was had. */
	readonly taken?: (read: Read) => void;
}

export class KeyLife<Read> {
	#held: Read | null = null;
	/** Whether a look has found keys, and none since that there are none any more. */
	#found = false;
	/** When the set in use was had. */
	#hadMs = Number.NEGATIVE_INFINITY;
	#nextLookMs = Number.NEGATIVE_INFINITY;
	#failures = 0;
	#looking: Promise<void> | null = null;

	constructor(
		private readonly options: KeysOptions,
		private readonly reading: KeyReading<Read>,
	) {}

	/** null = there is none, or it is too old to be believed. Nothing is looked for. */
	get held(): Read | null {
		return this.#ageMs() <= this.options.times.stale ? this.#held : null;
	}

	/**
	 * Whether what was read may still be believed now. What is no longer fresh, or holds no key, is looked for again,
	 * meanwhile it serves: no request waits for that. So whoever keeps it asks every KEYS_LOOK_MS, lest the first request for
	 * long be judged by what was withdrawn long ago.
	 */
	serving(): boolean {
		if (!this.#found || this.#ageMs() > this.options.times.fresh) void this.look();
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

	/** The look that has not ended. */
	get looking(): Promise<void> | null {
		return this.#looking;
	}

	#ageMs(): number {
		return this.options.monotonicMs() - this.#hadMs;
	}

	async #load(): Promise<void> {
		const { load, monotonicMs, failed } = this.options;
		const { read, isEmpty, taken } = this.reading;
		let why = "it is no JWKS";
		try {
			const set = read(await load());
			if (set !== null) {
				this.#held = set;
				this.#hadMs = monotonicMs();
				this.#found = !isEmpty(set);
				if (this.#found) this.#failures = 0;
				else this.#lookAgainSoon();
				taken?.(set);
				return;
			}
		} catch (error) {
			why = error instanceof Error ? error.message : String(error);
		}
		this.#lookAgainSoon();
		failed?.(why);
	}

	#lookAgainSoon(): void {
		const { times, monotonicMs } = this.options;
		const { held } = this;
		const isNone = held === null || this.reading.isEmpty(held);
		const longest = isNone ? Math.min(times.cooldown, KEYS_NONE_RETRY_MS) : times.cooldown;
		this.#nextLookMs = monotonicMs() + Math.min(longest, KEYS_RETRY_MS * 2 ** this.#failures++);
	}
}

const DONE = Promise.resolve();
