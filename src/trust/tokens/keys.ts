/** The keys of one issuer: what a JSON Web Key Set says, and which of them a token may be signed by. */
import { importJWK } from "jose";
import { KeyLife, type KeysOptions } from "./keyLife.js";
import { type KeySet, keySetFault, readKeySet } from "./keySet.js";
import type { PublicKey } from "./publicKey.js";

export type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

/** A key of the set. What it has verified holds while it is `live`. */
export class VerificationKey {
	live = true;
	/** Equal for the same key under the same name. */
	readonly identity: string;
	readonly #imported = new Map<string, Promise<ImportedKey>>();

	constructor(private readonly key: PublicKey) {
		this.identity = JSON.stringify([key.kid, key.algorithms, key.thumbprint]);
	}

	/** As Envoy does: a key without a kid fits any. */
	fits(kid: string, algorithm: string): boolean {
		return (this.key.kid === null || this.key.kid === kid) && this.key.algorithms.includes(algorithm);
	}

	/** For one algorithm of its own; rejects where the key is broken. */
	imported(algorithm: string): Promise<ImportedKey> {
		let key = this.#imported.get(algorithm);
		if (key === undefined) {
			key = importJWK({ ...this.key.jwk }, algorithm);
			this.#imported.set(algorithm, key);
		}
		return key;
	}
}

/** What is wrong with the keys of an issuer. */
export interface KeysTrouble {
	/** In words without anything of the answer. */
	readonly why: string;
	/** Whether those of before serve on; else no token of the issuer holds. */
	readonly serveOn: boolean;
}

export interface IssuerKeysOptions extends Omit<KeysOptions, "failed"> {
	/** Told when it changes, for looks are many; null = they are good again. */
	readonly troubled?: (trouble: KeysTrouble | null) => void;
}

export class Keys {
	#keys: readonly VerificationKey[] = [];
	readonly #life: KeyLife<KeySet>;
	/** With the set in use, or why none can be had. */
	#fault: string | null = null;
	#told: "good" | "serve on" | "none" = "good";

	constructor(private readonly options: IssuerKeysOptions) {
		const failed = (why: string): void => {
			this.#fault = why;
			this.#tell();
		};
		this.#life = new KeyLife(
			{ ...options, failed },
			{
				read: readKeySet,
				isEmpty: ({ keys }) => keys.length === 0,
				taken: (set) => this.#take(set),
			},
		);
	}

	/** Whether what these keys have verified may still be believed now; old keys are looked for again meanwhile. */
	serving(): boolean {
		return this.#life.serving();
	}

	/** To be called every KEYS_LOOK_MS: looks for newer ones where these are old, and tells where they are too old now. */
	look(): void {
		this.serving();
		this.#tell();
	}

	/** Whether no token can hold by them now, whoever signs it. */
	get none(): boolean {
		return this.#life.held === null || this.#keys.length === 0;
	}

	/** The keys that a token with this header may be signed by, as far as is known now. */
	known(kid: string, algorithm: string): readonly VerificationKey[] {
		return this.serving() ? this.#keys.filter((key) => key.fits(kid, algorithm)) : [];
	}

	/** The same; where there is none the set is asked for, now and then. */
	async find(kid: string, algorithm: string): Promise<readonly VerificationKey[]> {
		const found = this.known(kid, algorithm);
		if (found.length > 0) return found;
		await this.#life.look();
		return this.known(kid, algorithm);
	}

	/** Keys that stay are the same objects, so that what they have verified stays; the others are dead. */
	#take(set: KeySet): void {
		const before = new Map(this.#keys.map((key) => [key.identity, key]));
		this.#keys = set.keys.map((one) => {
			const key = new VerificationKey(one);
			return before.get(key.identity) ?? key;
		});
		const stay = new Set(this.#keys);
		for (const key of before.values()) if (!stay.has(key)) key.live = false;
		this.#fault = keySetFault(set);
		this.#tell();
	}

	/** Once for each state, however its words change: a name that leads to two addresses fails in two ways by turns. */
	#tell(): void {
		const why = this.#fault;
		const is = why === null ? "good" : this.none ? "none" : "serve on";
		if (is === this.#told) return;
		this.#told = is;
		this.options.troubled?.(why === null ? null : { why, serveOn: is === "serve on" });
	}
}
