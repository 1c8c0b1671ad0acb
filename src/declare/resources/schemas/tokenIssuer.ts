/** Gateway spec.tokens: trusted issuers of JSON Web Tokens, and the location of their keys. */
import { z } from "zod";
import { bareHost, isUrl } from "../address.js";
import { claimName } from "../fields/accessConditions.js";
import { duration, text } from "../fields/scalar.js";
import { fields, list, oneOf, refuseRepeats, withHint } from "../fields/strict.js";
import { machineAddress } from "../machineAddress.js";
import type { KeySource, TokenIssuer } from "../resource.js";

/**
 * Issuers of one Gateway. Envoy's jwt_authn parses a token again for each issuer: 15 µs of CPU each, so 1.5 ms for a
 * token of the last one or of none (1.36.2 to 1.40.0, 2 cores). Each Service with user rules has 2 KB of rules per
 * issuer in the route table.
 */
export const ISSUERS_MAX = 100;

const ISSUER_HINT = "write the issuer exactly as in the tokens, such as https://id.example.com";
const AUDIENCES_HINT = "write a list of at least one audience, exactly as in the tokens";
const FILE_HINT = "write the path of a JSON Web Key Set";
const KEYS_HINT = `${FILE_HINT}, or jwksUrl: https://…`;
const URL_HINT =
	"write the https URL of a JSON Web Key Set without user, password and fragment, such as https://id.example.com/jwks.json";

const OWN_ADDRESS_HINT = "name the issuer's server: control fetches from there, and that address is its machine's own";

const claim = (standard: string, what: string) =>
	claimName.default(standard).meta({ description: `Claim with ${what}, for AccessPolicies; default ${standard}.` });

const issuer = fields({
	// Users of AccessPolicies are ISSUER#SUB.
	issuer: text(ISSUER_HINT)
		.regex(/^[^#\p{Cc}\p{Cs}]{0,1024}$/u, { error: ISSUER_HINT })
		.meta({ description: "Issuer; must equal the token's `iss`." }),
	audiences: list(text(AUDIENCES_HINT), AUDIENCES_HINT)
		.min(1, { error: AUDIENCES_HINT })
		.meta({ description: "Accepted audiences; the token's `aud` must contain one." }),
	jwksFile: text(FILE_HINT)
		.regex(/^(?!https?:)/i, { error: "write jwksUrl for a URL" })
		.optional()
		.meta({ description: "Path of a JSON Web Key Set file (RFC 7517) with the issuer's keys." }),
	jwksUrl: z
		.string({ error: URL_HINT })
		.refine((value) => isUrl(value, ["https:"]), { error: URL_HINT, abort: true })
		.superRefine((value, context) => {
			const { hostname } = new URL(value);
			const own = machineAddress(bareHost(hostname));
			if (own !== null)
				context.addIssue({ code: "custom", message: withHint(`leads to ${hostname}, ${own}`, OWN_ADDRESS_HINT) });
		})
		.optional()
		.meta({ description: "https URL of the JSON Web Key Set, fetched and refreshed by control; instead of jwksFile." }),
	jwksCaFile: text("write the path of a PEM file with the CA of jwksUrl")
		.optional()
		.meta({ description: "Path of a PEM file with the CA of the jwksUrl server; default: the system's CAs." }),
	profile: oneOf("jwt", "at+jwt")
		.default("jwt")
		.meta({ description: "Token profile: jwt (default), or at+jwt for access tokens that comply with RFC 9068." }),
	maxLifetime: duration(1).prefault("1d").meta({
		description: "Maximum lifetime (exp - iat); default 1d. Longer tokens and tokens without iat are rejected.",
	}),
	binding: oneOf("none", "dpop", "mtls", "either").default("none").meta({
		description:
			"Proof of possession that every token needs: dpop (RFC 9449), mtls (RFC 8705), either, or none (default). A DPoP proof for an https URL is valid only if the Gateway itself terminates TLS, not a load balancer in front.",
	}),
	groupsClaim: claim("groups", "groups"),
	tenantClaim: claim("tenant", "the tenant"),
	purposeClaim: claim("purpose", "purposes"),
}).transform(({ jwksFile, jwksUrl, jwksCaFile, maxLifetime, ...rest }, context): TokenIssuer => {
	const report = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: withHint(what, hint), path: [field], input: rest });
	};
	let keys: KeySource = { from: "file", file: jwksFile ?? "" };
	if (jwksUrl !== undefined) {
		if (jwksFile !== undefined) report("jwksUrl", "is given beside jwksFile", "keep one of them");
		keys = { from: "url", url: jwksUrl, caFile: jwksCaFile ?? null };
	} else {
		if (jwksFile === undefined) report("jwksFile", "is missing", KEYS_HINT);
		if (jwksCaFile !== undefined) report("jwksCaFile", "is given without jwksUrl", "remove it, or write jwksUrl");
	}
	return { ...rest, keys, maxLifetimeMs: maxLifetime };
});

export const tokens = list(issuer, "write a list of {issuer, audiences, jwksFile}")
	.max(ISSUERS_MAX, { error: `write at most ${ISSUERS_MAX} issuers` })
	.superRefine((issuers, context) => {
		refuseRepeats(
			issuers,
			(one) => one.issuer,
			(index, first, key) => {
				const message = withHint(`repeats ${key}, item ${first} of the list`, "give each issuer once");
				context.addIssue({ code: "custom", path: [index, "issuer"], message });
			},
		);
	})
	.default([])
	.meta({
		description:
			"Trusted issuers of JSON Web Tokens, for experiment units by claim and for AccessPolicies about users.",
	});
