/** The current keys of one issuer. */
import { importJWK } from "jose";
import { type KeySet, keySetFault, readKeySet } from "./keySet.js";
import { KeySetCache, type KeysOptions } from "./keySetCache.js";
import type { PublicKey } from "./publicKey.js";

export type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** A key of the set. Tokens that it has verified are valid while it is `live`. */
export class VerificationKey {
	live = true;
	/** Equal for the same key with the same kid. */
	readonly identity: string;
	readonly #imported = new Map<string, Promise<ImportedKey>>();

	constructor(private readonly key: PublicKey) {
		this.identity = JSON.stringify([key.kid, key.algorithms, key.thumbprint]);
	}

	/** As in Envoy, a key without a kid matches any. */
	fits(kid: string, algorithm: string): boolean {
		return (this.key.kid === null || this.key.kid === kid) && this.key.algorithms.includes(algorithm);
	}

	/** The key for one of its algorithms; rejects if the key is invalid. */
	imported(algorithm: string): Promise<ImportedKey> {
		let key = this.#imported.get(algorithm);
		if (key === undefined) {
			key = importJWK({ ...this.key.jwk }, algorithm);
			this.#imported.set(algorithm, key);
		}
		return key;
	}
}

export interface KeysTrouble {
	/** The reason, without content of the response. */
	readonly why: string;
	/** Whether the cached key set is still used; otherwise all tokens of the issuer are invalid. */
	readonly usesCachedKeys: boolean;
}

export interface IssuerKeysOptions extends Omit<KeysOptions, "failed"> {
	/** Called when the state changes; null = the keys are valid again. */
	readonly troubled?: (trouble: KeysTrouble | null) => void;
}

export class Keys {
	#keys: readonly VerificationKey[] = [];
	readonly #cache: KeySetCache<KeySet>;
	/** The fault of the cached key set or of the last fetch. */
	#fault: string | null = null;
	#reported: "valid" | "cached" | "none" = "valid";

	constructor(private readonly options: IssuerKeysOptions) {
		const failed = (why: string): void => {
			this.#fault = why;
			this.#report();
		};
		this.#cache = new KeySetCache(
			{ ...options, failed },
			{
				read: readKeySet,
				isEmpty: ({ keys }) => keys.length === 0,
				loaded: (set) => this.#replace(set),
			},
		);
	}

	/** Whether the cached key set may be used now. An old set is fetched again in the background. */
	serving(): boolean {
		return this.#cache.serving();
	}

	/** Call it every KEYS_REFRESH_MS: fetches an old key set again, and reports when the cached one expires. */
	look(): void {
		this.serving();
		this.#report();
	}

	/** Whether the cached key set is missing, expired or empty. */
	get none(): boolean {
		return this.#cache.held === null || this.#keys.length === 0;
	}

	/** The loaded keys that match the token's header. */
	known(kid: string, algorithm: string): readonly VerificationKey[] {
		return this.serving() ? this.#keys.filter((key) => key.fits(kid, algorithm)) : [];
	}

	/** Like known(). Without a match it fetches the key set, at a limited rate. */
	async find(kid: string, algorithm: string): Promise<readonly VerificationKey[]> {
		const found = this.known(kid, algorithm);
		if (found.length > 0) return found;
		await this.#cache.fetch();
		return this.known(kid, algorithm);
	}

	/** Keeps the objects of unchanged keys, so that their cached tokens stay valid; removed keys are not live. */
	#replace(set: KeySet): void {
		const previous = new Map(this.#keys.map((key) => [key.identity, key]));
		this.#keys = set.keys.map((one) => {
			const key = new VerificationKey(one);
			return previous.get(key.identity) ?? key;
		});
		const current = new Set(this.#keys);
		for (const key of previous.values()) if (!current.has(key)) key.live = false;
		this.#fault = keySetFault(set);
		this.#report();
	}

	/** Reports once per state: the reason may alternate, e.g. with the addresses of a DNS name. */
	#report(): void {
		const why = this.#fault;
		const state = why === null ? "valid" : this.none ? "none" : "cached";
		if (state === this.#reported) return;
		this.#reported = state;
		this.options.troubled?.(why === null ? null : { why, usesCachedKeys: state === "cached" });
	}
}
