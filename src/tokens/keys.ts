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

export class Keys {
	#keys: readonly VerificationKey[] = [];
	readonly #life: KeyLife<KeySet>;
	/** What is wrong: with the set in use, or why none can be had; told when that changes, for looks are many. */
	#fault: string | null = null;

	/** @param options.failed is told of a fault once, until it is another one or is over */
	constructor(private readonly options: KeysOptions) {
		this.#life = new KeyLife(
			{ ...options, failed: (why) => this.#tell(why) },
			{
				read: readKeySet,
				isEmpty: ({ keys }) => keys.length === 0,
				taken: (set) => this.#take(set),
			},
		);
		const { held } = this.#life;
		if (held !== null) this.#take(held);
	}

	/** Whether what these keys have verified may still be believed now; old keys are looked for again meanwhile. */
	serving(): boolean {
		return this.#life.serving();
	}

	/** Whether no token can hold by them now, whoever signs it. */
	get none(): boolean {
		return this.#life.held === null || this.#keys.length === 0;
	}

	/** Nobody names the source any more: nothing of it stays on disk. */
	forget(): void {
		this.#life.forget();
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
		this.#tell(keySetFault(set));
	}

	#tell(fault: string | null): void {
		if (fault !== null && fault !== this.#fault) this.options.failed?.(fault);
		this.#fault = fault;
	}
}
