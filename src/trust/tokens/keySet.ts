/**
 * Reads a JSON Web Key Set (RFC 7517 5). The same rules for all users: control publishes the keys to Envoy, the sidecar
 * verifies with them, `weir validate` reports skipped keys.
 */
import { isForSomethingElse, type PublicKey, publicKey } from "./publicKey.js";
import { strictObject } from "./strictJson.js";

/** A hundred keys of 4,096 bits take 80 KiB of KEYS_BYTES_MAX. */
export const KEYS_MAX = 100;

/**
 * Keys of one key id and algorithm in a set: a rotation has two or three. Keys without an id match any token, so Envoy
 * and the sidecar try a token against at most twice as many.
 */
export const KEYS_SAME_NAME_MAX = 4;

export interface KeySet {
	/** Sorted by kid, then thumbprint, so that the issuer's order does not matter. */
	readonly keys: readonly PublicKey[];
	/** Why keys were skipped, `key N: …`, in the set's order, without key material. */
	readonly leftOut: readonly string[];
}

/**
 * Invalid keys are skipped. A set without a usable key is valid: then no token is.
 * @returns null if the bytes are no set, or one of more than KEYS_MAX keys. Never throws
 */
export function readKeySet(bytes: Uint8Array): KeySet | null {
	const list = strictObject(bytes)?.keys;
	if (!Array.isArray(list) || list.length > KEYS_MAX) return null;
	const good: { readonly key: PublicKey; readonly at: number }[] = [];
	const faults = new Map<number, string>();
	for (const [at, member] of list.entries()) {
		const isObject = typeof member === "object" && member !== null && !Array.isArray(member);
		if (isObject && isForSomethingElse(member)) continue;
		const key = isObject ? publicKey(member) : "it is no object";
		if (typeof key === "string") faults.set(at, key);
		else good.push({ key, at });
	}
	good.sort((one, other) => compare(orderOf(one.key), orderOf(other.key)));
	const seen = new Set<string>();
	const counts = new Map<string, number>();
	const keys = good.flatMap(({ key, at }) => {
		const own = JSON.stringify(orderOf(key));
		if (seen.has(own)) return [];
		seen.add(own);
		const names = key.algorithms.map((algorithm) => JSON.stringify([key.kid, algorithm]));
		if (names.some((name) => (counts.get(name) ?? 0) >= KEYS_SAME_NAME_MAX)) {
			faults.set(at, `more than ${KEYS_SAME_NAME_MAX} keys have its name`);
			return [];
		}
		for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
		return [key];
	});
	const leftOut = [...faults].sort(([one], [other]) => one - other).map(([at, why]) => `key ${at + 1}: ${why}`);
	return { keys, leftOut };
}

/** Why the set has no usable key, for the operator; null = it has one. */
export function keySetFault({ keys, leftOut }: KeySet): string | null {
	if (keys.length > 0) return null;
	const [first, ...more] = leftOut;
	if (first === undefined) return "it holds no key to verify tokens by";
	const others = more.length === 0 ? "" : `; and ${more.length} more`;
	return `it holds no key that can be used (${first}${others})`;
}

const orderOf = ({ kid, thumbprint, algorithms }: PublicKey): readonly [string, string, string] => [
	kid ?? "",
	thumbprint,
	algorithms.join(" "),
];

/** By code units, independent of the locale. */
function compare(one: readonly string[], other: readonly string[]): number {
	for (const [index, text] of one.entries()) {
		const its = other[index] ?? "";
		if (text !== its) return text < its ? -1 : 1;
	}
	return 0;
}
