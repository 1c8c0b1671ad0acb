/** Service principals as RBAC: SPIFFE ids out of the certificate that TLS has verified. */

import { WORKLOAD_ID } from "../../declare/resources/spiffe.js";
import { ANYONE, principalPrefix } from "../access/requests/principal.js";
import { ANYBODY, allOf, NOBODY, not, type PrincipalRule } from "./tokenMetadata.js";

/**
 * What Envoy writes into x-forwarded-client-cert of a certificate with exactly one URI SAN, and that a SPIFFE id
 * (measured on 1.36.2 and 1.40.0): it repeats URI= for each, writes an empty one where there is none, and escapes
 * nothing. By= is its own certificate's.
 */
export const ONE_IDENTITY = `(By=[^;,"]*;)*Hash=[0-9a-f]+;URI=${WORKLOAD_ID}`;
export const CLIENT_CERTIFICATE = "x-forwarded-client-cert";

/**
 * TLS's own word is not enough: `authenticated` matches a DNS SAN too where the URI SAN does not fit, so that an SVID
 * of one caller could have another's id as a DNS name. Of a certificate with one URI, and weir.gate lets no other pass,
 * the header ends with it.
 * @param pattern exact, `PREFIX/*`, `*` or `anyone`
 * @param identifies the Gateway demands client certificates, so that the header is Envoy's own word
 */
export function callerIs(pattern: string, identifies: boolean): PrincipalRule {
	if (pattern === ANYONE) return ANYBODY;
	if (pattern === "*") return identifies ? { authenticated: {} } : NOBODY;
	const below = principalPrefix(pattern);
	if (below === null) {
		const authenticated = { authenticated: { principal_name: { exact: pattern } } };
		return identifies ? allOf([certificate({ suffix: `;URI=${pattern}` }), authenticated]) : authenticated;
	}
	if (!identifies) return NOBODY;
	return allOf([
		certificate({ contains: `;URI=${below}` }),
		// The prefix itself, with its slash, is nobody below it. ONE_IDENTITY lets none such pass, but weir.gate does not
		// judge an open Service, whose shadow rules ask all the same.
		not(certificate({ suffix: `;URI=${below}` })),
		{ authenticated: { principal_name: { prefix: below } } },
	]);
}

const certificate = (matcher: object): PrincipalRule => ({
	header: { name: CLIENT_CERTIFICATE, string_match: matcher },
});
