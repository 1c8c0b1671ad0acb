/**
 * A JSON Web Key Set as Envoy is given it: the keys that tokens are verified by, and of each its public members. Envoy
 * refuses the listener of a set with no key that it can use, and with it every later change of the Gateway.
 */
import { NOBODYS_KEY_SET } from "../../compile/envoy/keySet.js";
import type { KeySet } from "./keySet.js";
import type { PublicKey } from "./publicKey.js";

/** The text of a set that Envoy takes, by which it believes the keys that the sidecar believes. */
export function publishedKeySet({ keys }: KeySet): string {
	return keys.length === 0 ? NOBODYS_KEY_SET : JSON.stringify({ keys: keys.map(shownKey) });
}

/**
 * With its algorithm where it has but one: for a key of a curve that names none, Envoy would take a token of whatever
 * alg (an ES256 signature under alg RS256).
 */
function shownKey({ kid, algorithms, jwk }: PublicKey): Readonly<Record<string, string>> {
	const [alg, ...others] = algorithms;
	return {
		...jwk,
		...(kid === null ? {} : { kid }),
		...(alg === undefined || others.length > 0 ? {} : { alg }),
		use: "sig",
	};
}
