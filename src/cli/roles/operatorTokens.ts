/** Operators by OIDC: access tokens of one issuer, judged as those of end users are. */
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
	/** The API's own audience: a token for anything else is not for operating Weir. */
	readonly audience: string;
	/** JWKS: https URL or file. */
	readonly keys: string;
	/** Claim with the groups that RoleBindings name as `group:NAME`. */
	readonly groupsClaim: string;
}

/** A working day: an operator's token that lives longer is refused. */
const LIFETIME_MAX_MS = 24 * 60 * 60 * 1_000;
const DOOR = "api";

/**
 * The port `tokens` of the API's TCP listener. A token that is bound to a certificate (RFC 8705) is taken with that very certificate only;
 * one that is bound to nothing is a bearer's; one that is bound in another way is refused.
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
			if (trouble === null) log.info("keys of the operators' issuer are good again", { source });
			else log.warn("keys of the operators' issuer cannot be had", { source, ...trouble });
		},
	});
	// A declaration has one kind of binding, and an issuer here tokens of two: what one refuses for that, the other judges.
	verifier.use([{ name: DOOR, issuers: [declared("none"), declared("mtls")] }]);
	setInterval(() => verifier.lookAtKeys(), KEYS_REFRESH_MS).unref();
	return async (authorization, request): Promise<OperatorToken> => {
		const answer = await verifier.verify({
			gateway: DOOR,
			authorization: [authorization],
			dpop: [],
			method: request.method ?? "",
			url: "",
			certificateThumbprint: thumbprint(request),
			payer: payer(request),
			neverAllowed: () => false,
		});
		if (answer === null) return { refused: "the Authorization header holds no token" };
		if ("refused" in answer) return { refused: `the token does not hold (${answer.refused})` };
		if (!isForAccess(authorization)) return { refused: "its typ says that the token is none for access" };
		const { subject, groups } = answer.token;
		// `#` parts issuer and subject: an issuer with one could pose as another.
		if (subject === null || issuer.includes("#")) return { refused: "the token names no one" };
		return { subject: `${issuer}#${subject}`, groups };
	};
}

/** What an issuer may sign with the API's audience beside tokens for access: logout tokens, security events, proofs (RFC 8725 3.11). */
function isForAccess(authorization: string): boolean {
	const shown = shownToken([authorization]);
	if (shown === null || shown === "malformed") return false;
	const { typ = "JWT" } = readCompact(shown.token)?.header ?? { typ: null };
	return typeof typ === "string" && /^(?:application\/)?(?:at\+)?jwt$/i.test(typ);
}

/** The handshake proves possession, whatever CA signed the certificate. */
function thumbprint(request: IncomingMessage): string | null {
	const { raw } = (request.socket as TLSSocket).getPeerCertificate() as { readonly raw?: Buffer };
	return raw === undefined ? null : createHash("sha256").update(raw).digest("base64url");
}

/** Users of one machine are told apart by nothing: they share what its address may have verified. */
function payer(request: IncomingMessage): string {
	const address = request.socket.remoteAddress ?? "";
	return isLoopback(address) ? "loopback" : address;
}
