/**
 * Deny rules for tokens that Envoy's jwt_authn accepts but no other execution does (measured on 1.40.0; src/trust/tokens
 * refuses the same). For Services that judge users; for others claims.ts removes the claims.
 */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { TOKEN_BYTES_MAX, TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import {
	COMPACT_TOKEN,
	compactTokenOf,
	ECDSA_SIGNATURE_BYTES,
	ED_ALGORITHM,
	RSA_ALGORITHMS,
	SPEAKS_OF_TOKEN,
} from "../access/users/tokenForm.js";
import { anyOf, at, both, type CelTree, call, double, field, ident, integer } from "./celTree.js";
import {
	ANY_PRINCIPAL,
	allOf,
	claimFits,
	claimIs,
	claimsTree,
	hasClaim,
	hasHeader,
	headerFits,
	headerIs,
	not,
	type PrincipalRule,
	someOf,
	verified,
} from "./tokenMetadata.js";

/** Name prefix of these rules; no AccessPolicy can have it. */
const INVALID_TOKEN = "(invalid token";

/** Name prefix of the rules for times and length. */
const BAD_TIMES = `${INVALID_TOKEN}, times`;

/** An Authorization header with a token anywhere in it, in any spelling. */
const SPEAKS = `(?is).*${SPEAKS_OF_TOKEN}.*`;
/** Accepted forms if no proof of possession is checked. */
const BEARER = "Bearer ";

const NOT_EMPTY = "(?s).+";
/** RFC 9068 2.1; media types are case-insensitive. */
const ACCESS_TOKEN = "(?i)(?:application/)?at\\+jwt";

/** Rules of weir.deny, by name. */
export function tokenRules(issuers: readonly TokenIssuer[]): Readonly<Record<string, object>> {
	const present = header("authorization", { present_match: true });
	const speaks = regexOn("authorization", SPEAKS);
	return {
		[`${INVALID_TOKEN})`]: deny(
			someOf([
				// Also if jwt_authn has not run: an unverified token is refused, not ignored.
				allOf([present, not(wellSigned(issuers)), speaks]),
				...issuers.map((issuer) => allOf([verified(issuer), someOf(faults(issuer))])),
			]),
		),
		...Object.fromEntries(
			issuers.map((issuer, index) => [
				`${BAD_TIMES} ${index})`,
				{ ...deny(verified(issuer)), condition: badTimes(issuer) },
			]),
		),
	};
}

const deny = (principal: PrincipalRule): object => ({ permissions: [{ any: true }], principals: [principal] });

const header = (name: string, matcher: object): PrincipalRule => ({ header: { name, ...matcher } });
const regexOn = (name: string, regex: string): PrincipalRule =>
	header(name, { string_match: { safe_regex: { regex } } });

/**
 * Verified, with a supported algorithm, and with a signature of that algorithm's length. One rule for all issuers, because a
 * counting pattern costs Envoy some KiB. For algorithms other than ECDSA jwt_authn accepts only one length.
 */
function wellSigned(issuers: readonly TokenIssuer[]): PrincipalRule {
	const shape = (algorithms: readonly string[], token: string): PrincipalRule =>
		allOf([
			someOf(issuers.map((issuer) => headerIs(issuer, "alg", algorithms))),
			regexOn("authorization", BEARER + token),
		]);
	return someOf([
		...Object.entries(ECDSA_SIGNATURE_BYTES).map(([alg, bytes]) => shape([alg], compactTokenOf(bytes))),
		shape([...RSA_ALGORITHMS, ED_ALGORITHM], COMPACT_TOKEN),
	]);
}

function faults(issuer: TokenIssuer): readonly PrincipalRule[] {
	// Each of its tokens needs a proof.
	if (issuer.binding !== "none") return [ANY_PRINCIPAL];
	return [
		// Without it jwt_authn tries all keys.
		not(headerFits(issuer, "kid", NOT_EMPTY)),
		hasHeader(issuer, "crit"),
		// Bound to a key (RFC 7800): Envoy sees no proof.
		hasClaim(issuer, "cnf"),
		not(hasClaim(issuer, "iat")),
		// jwt_authn accepts `http://weir/` for `weir`.
		issuer.audiences.length === 0 ? not(ANY_PRINCIPAL) : not(claimIs(issuer, "aud", issuer.audiences)),
		...(issuer.profile === "at+jwt"
			? [
					not(headerFits(issuer, "typ", ACCESS_TOKEN)),
					not(hasClaim(issuer, "aud")),
					...["sub", "client_id", "jti"].map((claim) => not(claimFits(issuer, claim, NOT_EMPTY))),
				]
			: []),
	];
}

/** iat in the future, exp - iat above the maximum life, or a token too long. jwt_authn checks exp and nbf. */
function badTimes(issuer: TokenIssuer): object {
	const claims = claimsTree(issuer);
	const [issued, expires] = [field(claims, "iat"), field(claims, "exp")];
	const request = ident("request");
	const authorization = at(field(request, "headers"), "authorization");
	const tooLong = (size: CelTree): CelTree => call("_>_", size, integer(BEARER.length + TOKEN_BYTES_MAX));
	return anyOf(
		call("_>_", issued, call("_+_", call("int", field(request, "time")), integer(TOKEN_SKEW_SECONDS))),
		call("_>_", call("_-_", expires, issued), double(issuer.maxLifetimeMs / 1_000)),
		// A header is never longer than the request, whose size Envoy keeps. A header lookup costs three times as much.
		both(tooLong(field(request, "total_size")), tooLong(call("size", authorization))),
	);
}
