/** What a token's own words must be, before and beside its signature. Pure; `nowSeconds` is the wall clock. */
import { claimTexts } from "../access/claim.js";
import type { VerifiedToken } from "../access/token.js";
import { ALGORITHMS } from "../access/tokenForm.js";
import { TOKEN_SKEW_SECONDS } from "../limits.js";
import type { TokenIssuer } from "../resources/resource.js";

type Members = Readonly<Record<string, unknown>>;

/** The header's key id and algorithm, or why it does not do. jwk, jku, x5c and x5u in it are never looked at. */
export function headerFault(header: Members): string | null {
	const { alg, kid } = header;
	if (typeof alg !== "string" || !ALGORITHMS.includes(alg)) return "alg is not allowed";
	if (Object.hasOwn(header, "crit")) return "crit names extensions, and there are none";
	if (typeof kid !== "string" || kid === "") return "kid is missing";
	return null;
}

/** Why the token's claims do not do for the issuer; null = they do. Numbers are NumericDates (RFC 7519 2). */
export function claimsFault(issuer: TokenIssuer, header: Members, payload: Members, nowSeconds: number): string | null {
	return (
		shapeFault(payload) ??
		audienceFault(issuer, payload) ??
		(issuer.profile === "at+jwt" ? accessTokenFault(header, payload) : null) ??
		timeFault(issuer, payload, nowSeconds)
	);
}

function shapeFault(payload: Members): string | null {
	for (const name of ["iss", "sub", "jti"]) {
		if (Object.hasOwn(payload, name) && typeof payload[name] !== "string") return `${name} is not a text`;
	}
	for (const name of ["exp", "nbf", "iat"]) {
		const value = payload[name];
		if (Object.hasOwn(payload, name) && (typeof value !== "number" || value < 0 || value >= 2 ** 64)) {
			return `${name} is not a time`;
		}
	}
	const { aud } = payload;
	const texts = Array.isArray(aud) ? aud : [aud];
	if (Object.hasOwn(payload, "aud") && !texts.every((one) => typeof one === "string")) return "aud is not texts";
	return null;
}

function audienceFault({ audiences }: TokenIssuer, { aud }: Members): string | null {
	if (audiences.length === 0) return null;
	const given: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
	return audiences.some((one) => given.includes(one)) ? null : "aud names none of ours";
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
	if (typeof nbf === "number" && nbf > nowSeconds + TOKEN_SKEW_SECONDS) return "nbf is in the future";
	if (iat > nowSeconds + TOKEN_SKEW_SECONDS) return "iat is in the future";
	if (exp - iat > maxLifetimeMs / 1_000) return "it lives too long";
	return null;
}

/** What proves that who shows the token is whom it was given to (RFC 7800); both = both must be proved. */
export interface Confirmation {
	readonly jkt: string | null;
	readonly certificate: string | null;
}

const SHA256_BASE64URL = /^[A-Za-z0-9_-]{43}$/;

/** The claim cnf; null = the token is not bound. "unknown": bound in a way that cannot be checked. */
export function confirmationOf(payload: Members): Confirmation | "unknown" | null {
	if (!Object.hasOwn(payload, "cnf")) return null;
	const { cnf } = payload;
	if (typeof cnf !== "object" || cnf === null || Array.isArray(cnf)) return "unknown";
	const members = Object.entries(cnf);
	const known = members.every(
		([name, value]) =>
			(name === "jkt" || name === "x5t#S256") && typeof value === "string" && SHA256_BASE64URL.test(value),
	);
	if (!known || members.length === 0) return "unknown";
	const { jkt, "x5t#S256": certificate } = cnf as Record<string, string>;
	return { jkt: jkt ?? null, certificate: certificate ?? null };
}

/** The user, out of claims that hold. */
export function verifiedToken(issuer: TokenIssuer, payload: Members): VerifiedToken {
	return {
		issuer: issuer.issuer,
		subject: typeof payload.sub === "string" && payload.sub !== "" ? payload.sub : null,
		claims: payload,
		groups: claimTexts(payload, issuer.groupsClaim),
		tenants: claimTexts(payload, issuer.tenantClaim),
		purposes: claimTexts(payload, issuer.purposeClaim),
	};
}
