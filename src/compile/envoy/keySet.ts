/** Key sets (JWKS, RFC 7517) that are safe in a configuration: public keys only. Pure. */
import type { KeySource } from "../../declare/resources/resource.js";

/** JWKS texts by the name of their source (keySetName). */
export type KeySets = Readonly<Record<string, string>>;

/**
 * A key set that trusts no token. Envoy rejects a listener with an empty set, so it has one key, whose private part no one
 * can know: x is SHA-256 of `weir: empty key set 1`, the first such text that is on the curve, and y the even one. It has a
 * kid, so that Envoy reports every other kid as unknown.
 */
export const EMPTY_KEY_SET =
	'{"keys":[{"kty":"EC","crv":"P-256","x":"gHm_aPk4SRs6uBhaauPFf-YA6i76SR46DBl2K6gfVpg","y":"sPtf4YjhJlspuDtYLYTMVwna3eRb_nTowCoYnoVaRMo","kid":"none"}]}';

/** Name of a key source among the compiler's key sets. */
export const keySetName = (source: KeySource): string =>
	source.from === "file" ? source.file : source.caFile === null ? source.url : `${source.url} by ${source.caFile}`;

/** Members of private and symmetric keys (RFC 7518, sections 6.2.2, 6.3.2 and 6.4). */
const PRIVATE = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] as const;

/** A JWKS with at least one key, and no private or symmetric one. */
export function isPublicKeySet(text: string): boolean {
	let parsed: { readonly keys?: unknown } | null;
	try {
		parsed = JSON.parse(text);
	} catch {
		return false;
	}
	const keys = parsed?.keys;
	return Array.isArray(keys) && keys.length > 0 && keys.every(isPublicKey);
}

const isPublicKey = (key: unknown): boolean =>
	typeof key === "object" && key !== null && "kty" in key && !PRIVATE.some((member) => member in key);
