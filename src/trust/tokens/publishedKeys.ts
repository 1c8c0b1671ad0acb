/**
 * The JSON Web Key Set for Envoy: valid keys with their public members only. Envoy refuses a listener whose set has no key
 * that it accepts, and with it every later change of the Gateway.
 */
import { EMPTY_KEY_SET } from "../../compile/envoy/keySet.js";
import type { KeySet } from "./keySet.js";
import type { PublicKey } from "./publicKey.js";

/** The text of a set with the keys that the sidecar accepts. */
export function publishedKeySet({ keys }: KeySet): string {
	return keys.length === 0 ? EMPTY_KEY_SET : JSON.stringify({ keys: keys.map(shownKey) });
}

/**
 * With alg if the key has only one algorithm: with an EC key without alg, Envoy would accept any alg in a token (an ES256
 * signature under alg RS256).
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
