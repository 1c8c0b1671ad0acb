/** Checks of a token's header and claims, without its signature. Pure; `nowSeconds` is the wall clock. */
import { shapeFault } from "../../compile/access/users/tokenClaims.js";
import { ALGORITHMS } from "../../compile/access/users/tokenForm.js";
import type { TokenIssuer } from "../../declare/resources/resource.js";
import { TOKEN_SKEW_SECONDS } from "../../limits/index.js";

type Members = Readonly<Record<string, unknown>>;

/** Why the header is invalid; null = valid. Its jwk, jku, x5c and x5u are never used. */
export function headerFault(header: Members): string | null {
	const { alg, kid } = header;
	if (typeof alg !== "string" || !ALGORITHMS.includes(alg)) return "alg is not allowed";
	if (Object.hasOwn(header, "crit")) return "crit requires an extension, and none is supported";
	if (typeof kid !== "string" || kid === "") return "kid is missing";
	return null;
}

/** Why the claims are invalid for the issuer; null = valid. */
export function claimsFault(issuer: TokenIssuer, header: Members, payload: Members, nowSeconds: number): string | null {
	return (
		shapeFault(payload) ??
		audienceFault(issuer, payload) ??
		(issuer.profile === "at+jwt" ? accessTokenFault(header, payload) : null) ??
		timeFault(issuer, payload, nowSeconds)
	);
}

function audienceFault({ audiences }: TokenIssuer, { aud }: Members): string | null {
	if (audiences.length === 0) return null;
	const given: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
	return audiences.some((one) => given.includes(one)) ? null : "aud contains no expected audience";
}

/** RFC 9068 2: typ, and the claims that an access token must have. */
function accessTokenFault({ typ }: Members, payload: Members): string | null {
	if (typeof typ !== "string" || !/^(?:application\/)?at\+jwt$/i.test(typ)) return "typ is not at+jwt";
	const missing = ["sub", "client_id", "jti"].find((name) => typeof payload[name] !== "string" || payload[name] === "");
	if (missing !== undefined) return `${missing} is missing`;
	return Object.hasOwn(payload, "aud") ? null : "aud is missing";
}

function timeFault({ maxLifetimeMs }: TokenIssuer, { exp, nbf, iat }: Members, nowSeconds: number): string | null {
	if (typeof exp !== "number") return "exp is missing";
	if (typeof iat !== "number") return "iat is missing";
	if (nowSeconds > exp + TOKEN_SKEW_SECONDS) return "it has expired";
	// Rounded down like Envoy's jwt_authn.
	if (typeof nbf === "number" && Math.floor(nbf) > nowSeconds + TOKEN_SKEW_SECONDS) return "nbf is in the future";
	if (iat > nowSeconds + TOKEN_SKEW_SECONDS) return "iat is in the future";
	if (exp - iat > maxLifetimeMs / 1_000) return "it lives too long";
	return null;
}
