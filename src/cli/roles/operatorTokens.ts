/** Verifies operators' OIDC access tokens from one issuer, with the verifier for end users' tokens. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { isLoopback } from "../../declare/resources/address.js";
import type { KeySource, TokenIssuer } from "../../declare/resources/resource.js";
import { KEYS_REFRESH_MS } from "../../limits/index.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { OperatorToken, TcpListener } from "../../operate/api/caller.js";
import { readCompact, shownToken } from "../../trust/tokens/compact.js";
import { TokenVerifier } from "../../trust/tokens/verifier.js";

export interface OperatorIssuer {
	/** Claim iss, exactly. */
	readonly issuer: string;
	/** The API's audience: a token for another one is refused. */
	readonly audience: string;
	/** JWKS: https URL or file. */
	readonly keys: string;
	/** Claim with the groups that RoleBindings name as `group:NAME`. */
	readonly groupsClaim: string;
}

/** An operator's token with a longer lifetime is refused. */
const LIFETIME_MAX_MS = 24 * 60 * 60 * 1_000;
const LISTENER = "api";

/**
 * The port `tokens` of the API's TCP listener. Accepts bearer tokens, and tokens bound to the connection's certificate
 * (RFC 8705). Tokens with another binding are refused.
 */
export function operatorTokens(
	{ issuer, audience, keys, groupsClaim }: OperatorIssuer,
	log: Pick<Log, "info" | "warn">,
): NonNullable<TcpListener["tokens"]> {
	const source: KeySource = keys.startsWith("https://")
		? { from: "url", url: keys, caFile: null }
		: { from: "file", file: keys };
	const declared = (binding: TokenIssuer["binding"]): TokenIssuer => ({
		issuer,
		audiences: [audience],
		keys: source,
		profile: "jwt",
		maxLifetimeMs: LIFETIME_MAX_MS,
		binding,
		groupsClaim,
		tenantClaim: "tenant",
		purposeClaim: "purpose",
	});
	const verifier = new TokenVerifier({
		keysTroubled: (source, trouble) => {
			if (trouble === null) log.info("keys of the operators' issuer are usable again", { source });
			else log.warn("keys of the operators' issuer are unavailable", { source, ...trouble });
		},
	});
	// Two declarations, because each has one kind of binding and the issuer's tokens have two.
	verifier.use([{ name: LISTENER, issuers: [declared("none"), declared("mtls")] }]);
	setInterval(() => verifier.lookAtKeys(), KEYS_REFRESH_MS).unref();
	return async (authorization, request): Promise<OperatorToken> => {
		const answer = await verifier.verify({
			gateway: LISTENER,
			authorization: [authorization],
			dpop: [],
			method: request.method ?? "",
			url: "",
			certificateThumbprint: thumbprint(request),
			payer: payer(request),
			neverAllowed: () => false,
		});
		if (answer === null) return { refused: "the Authorization header has no token" };
		if ("refused" in answer) return { refused: `the token is invalid (${answer.refused})` };
		if (!isForAccess(authorization)) return { refused: "the token's typ is not that of an access token" };
		const { subject, groups } = answer.token;
		// `#` separates issuer and subject: an issuer that contains it could pose as another.
		if (subject === null || issuer.includes("#")) return { refused: "the token has no subject" };
		return { subject: `${issuer}#${subject}`, groups };
	};
}

/** An issuer may sign other tokens with the API's audience: logout tokens, security events, proofs (RFC 8725 3.11). */
function isForAccess(authorization: string): boolean {
	const shown = shownToken([authorization]);
	if (shown === null || shown === "malformed") return false;
	const { typ = "JWT" } = readCompact(shown.token)?.header ?? { typ: null };
	return typeof typ === "string" && /^(?:application\/)?(?:at\+)?jwt$/i.test(typ);
}

/** The handshake proves possession of the key, regardless of the certificate's CA. */
function thumbprint(request: IncomingMessage): string | null {
	const { raw } = (request.socket as TLSSocket).getPeerCertificate() as { readonly raw?: Buffer };
	return raw === undefined ? null : createHash("sha256").update(raw).digest("base64url");
}

/** Callers with one address share its quota of verifications. */
function payer(request: IncomingMessage): string {
	const address = request.socket.remoteAddress ?? "";
	return isLoopback(address) ? "loopback" : address;
}
