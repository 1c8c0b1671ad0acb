/** Rules for a verified token's claims, apart from signature, header and times; and its user. Pure. */
import type { TokenIssuer } from "../../../declare/resources/resource.js";
import { claimTexts } from "./claim.js";
import type { VerifiedToken } from "./token.js";

type Claims = Readonly<Record<string, unknown>>;

/** Why registered claims have wrong types; null = valid. Numbers are NumericDates (RFC 7519 2). */
export function shapeFault(claims: Claims): string | null {
	for (const name of ["iss", "sub", "jti"]) {
		if (Object.hasOwn(claims, name) && typeof claims[name] !== "string") return `${name} is not a text`;
	}
	for (const name of ["exp", "nbf", "iat"]) {
		const value = claims[name];
		if (Object.hasOwn(claims, name) && (typeof value !== "number" || value < 0 || value >= 2 ** 64)) {
			return `${name} is not a time`;
		}
	}
	const { aud } = claims;
	const texts = Array.isArray(aud) ? aud : [aud];
	if (Object.hasOwn(claims, "aud") && !texts.every((one) => typeof one === "string")) return "aud is not texts";
	return null;
}

/** Proof of possession (RFC 7800); both = both are required. */
export interface Confirmation {
	readonly jkt: string | null;
	readonly certificate: string | null;
}

const SHA256_BASE64URL = /^[A-Za-z0-9_-]{43}$/;

/** The claim cnf; null = the token is not bound. "unknown": bound by an unsupported method. */
export function confirmationOf(claims: Claims): Confirmation | "unknown" | null {
	if (!Object.hasOwn(claims, "cnf")) return null;
	const { cnf } = claims;
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

/**
 * Whether the token is bound as its issuer's declaration requires. binding none: bound tokens are refused, because
 * Envoy's jwt_authn cannot check a proof.
 */
export function bindingFault({ binding }: TokenIssuer, confirmation: Confirmation | null): string | null {
	if (binding === "none") return confirmation === null ? null : "it is bound, but the issuer's binding is none";
	if (confirmation === null) return "it is not bound";
	if (binding === "dpop" && confirmation.jkt === null) return "it is not bound to a key";
	return binding === "mtls" && confirmation.certificate === null ? "it is not bound to a certificate" : null;
}

/** The user of valid claims. */
export function verifiedToken(issuer: TokenIssuer, claims: Claims): VerifiedToken {
	return {
		issuer: issuer.issuer,
		subject: typeof claims.sub === "string" && claims.sub !== "" ? claims.sub : null,
		claims,
		groups: claimTexts(claims, issuer.groupsClaim),
		tenants: claimTexts(claims, issuer.tenantClaim),
		purposes: claimTexts(claims, issuer.purposeClaim),
	};
}
