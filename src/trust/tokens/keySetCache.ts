/** A cached JSON Web Key Set: fetched, refreshed and expired by the same rules in the sidecar and in control. */
import { KEYS_RETRY_MS } from "../../limits/index.js";

/** Longest pause between fetches without any key, because all of the issuer's tokens fail meanwhile. */
const KEYS_NONE_RETRY_MS = 5_000;

export interface KeysOptions {
	/** Loads the set, with limits of size and time; rejects if it is unavailable. */
	readonly load: () => Promise<Uint8Array>;
	/** Milliseconds: how long a set is fresh, how long it is used if none newer is available, minimum between two fetches. */
	readonly times: { readonly fresh: number; readonly stale: number; readonly cooldown: number };
	readonly monotonicMs: () => number;
	/** Called for each failed fetch; the reason has no content of the response. */
	readonly failed?: (why: string) => void;
}

export interface KeyReading<Read> {
	/** null = the bytes are no JWKS. */
	readonly read: (bytes: Uint8Array) => Read | null;
	/** Whether the set has no usable key. */
	readonly isEmpty: (read: Read) => boolean;
	/** Called for each loaded set. */
	readonly loaded?: (read: Read) => void;
}

export class KeySetCache<Read> {
	#held: Read | null = null;
	/** Whether the last loaded set had keys. */
	#found = false;
	#loadedMs = Number.NEGATIVE_INFINITY;
	#nextFetchMs = Number.NEGATIVE_INFINITY;
	#failures = 0;
	#fetching: Promise<void> | null = null;

	constructor(
		private readonly options: KeysOptions,
		private readonly reading: KeyReading<Read>,
	) {}

	/** The cached key set; null = missing or expired. Does not fetch. */
	get held(): Read | null {
		return this.#ageMs() <= this.options.times.stale ? this.#held : null;
	}

	/**
	 * Whether the cached key set may be used now. Fetches an old or empty one again in the background. Call it every
	 * KEYS_REFRESH_MS, so that the first request after a long pause is not verified by withdrawn keys.
	 */
	serving(): boolean {
		if (!this.#found || this.#ageMs() > this.options.times.fresh) void this.fetch();
		return this.held !== null;
	}

	/** Fetches the set; concurrent calls share one fetch. Does nothing within `cooldown`. Never rejects. */
	fetch(): Promise<void> {
		if (this.#fetching !== null) return this.#fetching;
		const now = this.options.monotonicMs();
		if (now < this.#nextFetchMs) return DONE;
		this.#nextFetchMs = now + this.options.times.cooldown;
		this.#fetching = this.#load().finally(() => {
			this.#fetching = null;
		});
		return this.#fetching;
	}

	/** The fetch in progress. */
	get fetching(): Promise<void> | null {
		return this.#fetching;
	}

	#ageMs(): number {
		return this.options.monotonicMs() - this.#loadedMs;
	}

	async #load(): Promise<void> {
		const { load, monotonicMs, failed } = this.options;
		const { read, isEmpty, loaded } = this.reading;
		let why = "it is no JWKS";
		try {
			const set = read(await load());
			if (set !== null) {
				this.#held = set;
				this.#loadedMs = monotonicMs();
				this.#found = !isEmpty(set);
				if (this.#found) this.#failures = 0;
				else this.#retrySoon();
				loaded?.(set);
				return;
			}
		} catch (error) {
			why = error instanceof Error ? error.message : String(error);
		}
		this.#retrySoon();
		failed?.(why);
	}

	#retrySoon(): void {
		const { times, monotonicMs } = this.options;
		const { held } = this;
		const isNone = held === null || this.reading.isEmpty(held);
		const longest = isNone ? Math.min(times.cooldown, KEYS_NONE_RETRY_MS) : times.cooldown;
		this.#nextFetchMs = monotonicMs() + Math.min(longest, KEYS_RETRY_MS * 2 ** this.#failures++);
	}
}

const DONE = Promise.resolve();
