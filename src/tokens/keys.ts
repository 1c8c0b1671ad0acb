/** One JSON Web Key Set over its life: fetched when it is needed, kept while it may be, gone when it must be. */
import { importJWK } from "jose";
import { KEYS_MAX, KEYS_RETRY_MS, KEYS_TRIED_MAX } from "../limits.js";
import { algorithmsOf, publicMembers } from "./algorithms.js";
import { strictObject } from "./strictJson.js";

export type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** A key of the set. What it has verified holds while it is `live`. */
export class VerificationKey {
	live = true;
	readonly #imported = new Map<string, Promise<ImportedKey>>();

	constructor(
		readonly kid: string | null,
		readonly algorithms: readonly string[],
		private readonly jwk: Readonly<Record<string, string>>,
		/** Equal for the same key under the same name. */
		readonly identity: string,
	) {}

	/** For one algorithm of its own; rejects where the key is broken. */
	imported(algorithm: string): Promise<ImportedKey> {
		let key = this.#imported.get(algorithm);
		if (key === undefined) {
			key = importJWK(this.jwk, algorithm);
			this.#imported.set(algorithm, key);
		}
		return key;
	}
}

/** The usable keys of a set (RFC 7517 5: those that are not understood are ignored); null where it is no set. */
export function readKeySet(bytes: Uint8Array): readonly VerificationKey[] | null {
	const set = strictObject(bytes);
	const list = set?.keys;
	if (!Array.isArray(list) || list.length > KEYS_MAX) return null;
	return list.flatMap((jwk: unknown) => {
		if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return [];
		const members = jwk as Record<string, unknown>;
		const { kid } = members;
		const algorithms = algorithmsOf(members);
		if (algorithms.length === 0 || (kid !== undefined && typeof kid !== "string")) return [];
		const key = publicMembers(members);
		return [new VerificationKey(kid || null, algorithms, key, JSON.stringify([kid ?? null, algorithms, key]))];
	});
}

export interface KeysOptions {
	/** The bytes of the set, size-bounded and in bounded time; rejects where they cannot be had. */
	readonly load: () => Promise<Uint8Array>;
	/** How long a set is fresh; how long it serves when no newer one can be had; the pause between two looks. */
	readonly times: { readonly fresh: number; readonly stale: number; readonly cooldown: number };
	readonly monotonicMs: () => number;
	/** Told of each failed look, in words without anything of the answer. */
	readonly failed?: (why: string) => void;
}

export class Keys {
	#keys: readonly VerificationKey[] = [];
	/** When the set in use was had. */
	#hadMs = Number.NEGATIVE_INFINITY;
	#nextLookMs = Number.NEGATIVE_INFINITY;
	#failures = 0;
	#looking: Promise<void> | null = null;

	constructor(private readonly options: KeysOptions) {}

	/**
	 * Whether what these keys have verified may still be believed now. Old keys are looked for again, meanwhile they serve:
	 * no request waits for that.
	 */
	serving(): boolean {
		const ageMs = this.options.monotonicMs() - this.#hadMs;
		if (ageMs > this.options.times.fresh) void this.look();
		return ageMs <= this.options.times.stale;
	}

	/** The keys that a token with this header may be signed by; a kid that nobody knows is asked for, now and then. */
	async find(kid: string, algorithm: string): Promise<readonly VerificationKey[]> {
		if (!this.serving()) await this.look();
		if (!this.serving()) return [];
		const found = this.#matching(kid, algorithm);
		if (found.length > 0) return found;
		await this.look();
		return this.#matching(kid, algorithm);
	}

	/** As Envoy does: a key without a kid fits any. */
	#matching(kid: string, algorithm: string): readonly VerificationKey[] {
		return this.#keys
			.filter((key) => (key.kid === null || key.kid === kid) && key.algorithms.includes(algorithm))
			.slice(0, KEYS_TRIED_MAX);
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

	async #load(): Promise<void> {
		const { load, times, monotonicMs, failed } = this.options;
		let why = "it is no JWKS";
		try {
			const keys = readKeySet(await load());
			if (keys !== null) {
				this.#take(keys);
				this.#hadMs = monotonicMs();
				this.#failures = 0;
				return;
			}
		} catch (error) {
			why = error instanceof Error ? error.message : String(error);
		}
		this.#nextLookMs = monotonicMs() + Math.min(times.cooldown, KEYS_RETRY_MS * 2 ** this.#failures++);
		failed?.(why);
	}

	/** Keys that stay are the same objects, so that what they have verified stays; the others are dead. */
	#take(keys: readonly VerificationKey[]): void {
		const before = new Map(this.#keys.map((key) => [key.identity, key]));
		this.#keys = keys.map((key) => before.get(key.identity) ?? key);
		const stay = new Set(this.#keys);
		for (const key of before.values()) if (!stay.has(key)) key.live = false;
	}
}

const DONE = Promise.resolve();
