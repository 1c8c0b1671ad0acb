/**
 * A JSON Web Key Set as Envoy is given it: the keys that tokens are verified by, and of each its public members. Envoy
 * refuses the listener of a set with no key that it can use, and with it every later change of the Gateway.
 */
import { createPublicKey } from "node:crypto";
import { NOBODYS_KEY_SET } from "../compiler/keySet.js";
import { KEYS_MAX } from "../limits.js";
import { algorithmsOf, publicMembers } from "./algorithms.js";
import { strictObject } from "./strictJson.js";

/**
 * By the rules of readKeySet (keys.ts), so that sidecar and Envoy believe the same keys. A set without any is a fact:
 * nobody's key is good.
 * @returns the text of a set that Envoy takes; null where the bytes are no set
 */
export function publishedKeySet(bytes: Uint8Array): string | null {
	const list = strictObject(bytes)?.keys;
	if (!Array.isArray(list) || list.length > KEYS_MAX) return null;
	const keys = list.flatMap((jwk: unknown) => {
		if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return [];
		const shown = shownKey(jwk as Readonly<Record<string, unknown>>);
		return shown === null ? [] : [shown];
	});
	return keys.length === 0 ? NOBODYS_KEY_SET : JSON.stringify({ keys });
}

function shownKey(jwk: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | null {
	const { kid, alg } = jwk;
	if (algorithmsOf(jwk).length === 0 || (kid !== undefined && typeof kid !== "string")) return null;
	const key = publicMembers(jwk);
	try {
		createPublicKey({ key, format: "jwk" });
	} catch {
		return null;
	}
	return { ...key, ...(kid ? { kid } : {}), ...(alg === undefined ? {} : { alg: String(alg) }), use: "sig" };
}
