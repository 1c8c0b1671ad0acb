/** RBAC rules for service principals: SPIFFE ids from the certificate that TLS has verified. */

import { WORKLOAD_ID } from "../../declare/resources/spiffe.js";
import { ANYONE, principalPrefix } from "../access/requests/principal.js";
import { ANY_PRINCIPAL, allOf, NO_PRINCIPAL, not, type PrincipalRule } from "./tokenMetadata.js";

/**
 * Envoy's x-forwarded-client-cert for a certificate with exactly one URI SAN that is a SPIFFE id (measured on 1.36.2 and
 * 1.40.0). Envoy repeats URI= for each URI SAN, writes an empty one if there is none, and escapes nothing. By= is from its
 * own certificate.
 */
export const ONE_IDENTITY = `(By=[^;,"]*;)*Hash=[0-9a-f]+;URI=${WORKLOAD_ID}`;
export const CLIENT_CERTIFICATE = "x-forwarded-client-cert";

/**
 * `authenticated` alone is not enough: it also matches a DNS SAN if the URI SAN does not match, so an SVID could contain
 * another caller's id as a DNS name. For a certificate with one URI, which weir.gate enforces, the header ends with it.
 * @param pattern exact, `PREFIX/*`, `*` or `anyone`
 * @param identifies the Gateway requires client certificates, so the header was written by Envoy
 */
export function callerIs(pattern: string, identifies: boolean): PrincipalRule {
	if (pattern === ANYONE) return ANY_PRINCIPAL;
	if (pattern === "*") return identifies ? { authenticated: {} } : NO_PRINCIPAL;
	const below = principalPrefix(pattern);
	if (below === null) {
		const authenticated = { authenticated: { principal_name: { exact: pattern } } };
		return identifies ? allOf([certificate({ suffix: `;URI=${pattern}` }), authenticated]) : authenticated;
	}
	if (!identifies) return NO_PRINCIPAL;
	return allOf([
		certificate({ contains: `;URI=${below}` }),
		// The prefix with its slash alone is not a match. ONE_IDENTITY refuses such ids, but weir.gate does not check an open
		// Service, whose shadow rules run anyway.
		not(certificate({ suffix: `;URI=${below}` })),
		{ authenticated: { principal_name: { prefix: below } } },
	]);
}

const certificate = (matcher: object): PrincipalRule => ({
	header: { name: CLIENT_CERTIFICATE, string_match: matcher },
});
