/**
 * A JSON Web Key Set (RFC 7517 5) as it is judged once for all: control publishes its keys to Envoy, the sidecar
 * verifies by them, `weir validate` tells of those that are left out.
 */
import { KEYS_MAX, KEYS_SAME_NAME_MAX } from "../../limits/index.js";
import { isForSomethingElse, type PublicKey, publicKey } from "./publicKey.js";
import { strictObject } from "./strictJson.js";

export interface KeySet {
	/** By name, then by thumbprint: the order in which an issuer happens to write them changes nothing. */
	readonly keys: readonly PublicKey[];
	/** Why others are not among them, `key N: …`, in the set's order and without anything of the keys. */
	readonly leftOut: readonly string[];
}

/**
 * Keys that are not understood are no reason to refuse the others. A set without any usable key is a fact: nobody's key
 * is good.
 * @returns null where the bytes are no set, or one of more than KEYS_MAX keys. Never throws
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

/** What is wrong with a set as a whole, for whoever runs it; null = there is a key. */
export function keySetFault({ keys, leftOut }: KeySet): string | null {
	if (keys.length > 0) return null;
	const [first, ...more] = leftOut;
	if (first === undefined) return "it holds no key to verify tokens by";
	const others = more.length === 0 ? "" : `; and ${more.length} more`;
	return `it holds no key that can be used (${first}${others})`;
}

/** Without a name first. */
const orderOf = ({ kid, thumbprint, algorithms }: PublicKey): readonly [string, string, string] => [
	kid ?? "",
	thumbprint,
	algorithms.join(" "),
];

/** By code units, as no locale has a say in it. */
function compare(one: readonly string[], other: readonly string[]): number {
	for (const [index, text] of one.entries()) {
		const its = other[index] ?? "";
		if (text !== its) return text < its ? -1 : 1;
	}
	return 0;
}
