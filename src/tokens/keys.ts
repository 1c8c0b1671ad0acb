/** The keys of one issuer: what a JSON Web Key Set says, and which of them a token may be signed by. */
import { importJWK } from "jose";
import { KEYS_MAX, KEYS_TRIED_MAX } from "../limits.js";
import { algorithmsOf, publicMembers } from "./algorithms.js";
import { KeyLife, type KeysOptions } from "./keyLife.js";
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

export class Keys {
	#keys: readonly VerificationKey[] = [];
	readonly #life: KeyLife<readonly VerificationKey[]>;

	constructor(options: KeysOptions) {
		this.#life = new KeyLife(options, readKeySet, (keys) => this.#take(keys));
	}

	/** Whether what these keys have verified may still be believed now; old keys are looked for again meanwhile. */
	serving(): boolean {
		return this.#life.serving();
	}

	/** The keys that a token with this header may be signed by; a kid that nobody knows is asked for, now and then. */
	async find(kid: string, algorithm: string): Promise<readonly VerificationKey[]> {
		if (!this.serving()) await this.#life.look();
		if (!this.serving()) return [];
		const found = this.#matching(kid, algorithm);
		if (found.length > 0) return found;
		await this.#life.look();
		return this.#matching(kid, algorithm);
	}

	/** As Envoy does: a key without a kid fits any. */
	#matching(kid: string, algorithm: string): readonly VerificationKey[] {
		return this.#keys
			.filter((key) => (key.kid === null || key.kid === kid) && key.algorithms.includes(algorithm))
			.slice(0, KEYS_TRIED_MAX);
	}

	/** Keys that stay are the same objects, so that what they have verified stays; the others are dead. */
	#take(keys: readonly VerificationKey[]): void {
		const before = new Map(this.#keys.map((key) => [key.identity, key]));
		this.#keys = keys.map((key) => before.get(key.identity) ?? key);
		const stay = new Set(this.#keys);
		for (const key of before.values()) if (!stay.has(key)) key.live = false;
	}
}
