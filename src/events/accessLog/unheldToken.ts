/**
 * Why a request has no unit in its token's claim: by what Envoy leaves in its access-log entry, the result of the rules of
 * compiler/claims.ts and the token as jwt_authn has verified it. Of claims only their presence is told, and times.
 */
import { fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { claimPath, valueAt } from "../../access/users/claim.js";
import { CLAIMS_RESULT, CLAIMS_RULE } from "../../compiler/claims.js";
import { parseRouteName } from "../../compiler/plan.js";
import { TOKENS_METADATA } from "../../compiler/tokenMetadata.js";
import { isTimesRule } from "../../compiler/tokenRules.js";
import { MetadataSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import { TOKEN_SKEW_SECONDS, UNHELD_KEPT_MS, UNHELD_SERVICES_MAX } from "../../limits.js";
import type { Unheld } from "../../rollout/ports.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { eachNamespace } from "./filterMetadata.js";

const RBAC: ReadonlySet<string> = new Set(["envoy.filters.http.rbac"]);

/** The rule by which the request's token gives no unit; null = it holds, or there is none, or users are judged. */
function refusingRule(entry: AccessLogEntry): string | null {
	return eachNamespace(entry, RBAC, (said) =>
		said.get(CLAIMS_RESULT) === "denied" ? (said.get(CLAIMS_RULE) ?? "") : null,
	);
}

/** Why the claim is no unit of the request, in words for a person. */
export function whyNoUnit(entry: AccessLogEntry, claim: string): string {
	const rule = refusingRule(entry);
	let token: Token | null;
	try {
		token = verifiedToken(entry);
	} catch {
		return "what Envoy says of the token cannot be read";
	}
	if (rule !== null) return `the token does not hold as a unit: ${faultOf(rule, token, entry.startUs / 1e6)}`;
	if (token === null) return "no token was verified";
	return valueAt(token.claims, claimPath(claim)) === undefined
		? "the token has no such claim"
		: "the claim is no unit: printable ASCII without blanks and commas";
}

interface Token {
	readonly header: JsonObject;
	readonly claims: JsonObject;
}

/** In the order of the rules (compiler/tokenRules.ts). */
function faultOf(rule: string, token: Token | null, nowSeconds: number): string {
	if (token === null)
		return "Envoy could not verify it (signature, key, issuer, audience, exp, nbf, or more left to live than its issuer's maxLifetime), or it is not written as one token";
	const { header, claims } = token;
	const { iat, exp } = claims;
	if (isTimesRule(rule)) {
		if (typeof iat === "number" && iat > nowSeconds + TOKEN_SKEW_SECONDS) return "it is issued in the future";
		const life = typeof iat === "number" && typeof exp === "number" ? ` of ${exp - iat} s` : "";
		return `its life${life} (exp − iat) is beyond its issuer's maxLifetime, or it is too long`;
	}
	if (typeof header.kid !== "string" || header.kid === "") return "it has no kid";
	if ("crit" in header) return "it has crit";
	if ("cnf" in claims) return "it is bound to a key (cnf), and nobody checks the proof";
	if (!("iat" in claims)) return "it has no iat";
	return "its audience or form is not as it must be (aud, typ, sub, client_id, jti, alg, how it is written), or its issuer binds all tokens to keys";
}

/** null = jwt_authn has verified none. */
function verifiedToken({ message, metadataAt, metadataEnd }: AccessLogEntry): Token | null {
	const { filterMetadata } = fromBinary(MetadataSchema, message.subarray(metadataAt, metadataEnd));
	const said = filterMetadata[TOKENS_METADATA] ?? {};
	for (const [key, header] of Object.entries(said)) {
		const claims = key.endsWith("#header") ? said[key.slice(0, -"#header".length)] : undefined;
		if (isObject(claims) && isObject(header)) return { header, claims };
	}
	return null;
}

const isObject = (value: JsonValue | undefined): value is JsonObject =>
	typeof value === "object" && value !== null && !Array.isArray(value);

const JWT: ReadonlySet<string> = new Set([TOKENS_METADATA]);

/** Whether a token was looked at, one that does not hold or none at all too; where users are judged, one that holds alone tells it. */
export function lookedAtTokens(entry: AccessLogEntry): boolean {
	const tried = eachNamespace(entry, RBAC, (said) => said.get(CLAIMS_RESULT) ?? null);
	return tried !== null || isVerified(entry);
}

/** jwt_authn leaves nothing there of a token that it did not verify. */
const isVerified = (entry: AccessLogEntry): boolean => eachNamespace(entry, JWT, () => true) !== null;

/** null = the request's token holds, or there is none, or users are judged. */
function causeOf(entry: AccessLogEntry): Unheld["cause"] | null {
	const rule = refusingRule(entry);
	if (rule === null) return null;
	if (!isVerified(entry)) return "unverified";
	return isTimesRule(rule) ? "times" : "form";
}

/** As they are told: what anybody can send without a key comes last. */
const CAUSES: readonly Unheld["cause"][] = ["times", "form", "unverified"];

type Counted = Unheld & { readonly lastMs: number };

/** Counts such requests by Service and cause, each until there was none for UNHELD_KEPT_MS. */
export class UnheldTokens {
	readonly #services = new Map<string, Map<Unheld["cause"], Counted>>();

	/** Of an end entry. */
	see(entry: AccessLogEntry, nowMs: number): void {
		const cause = causeOf(entry);
		const service = cause === null ? undefined : parseRouteName(entry.routeName)?.service;
		if (cause === null || service === undefined) return;
		const causes = this.#services.get(service) ?? new Map<Unheld["cause"], Counted>();
		if (causes.size === 0 && this.#services.size >= UNHELD_SERVICES_MAX) return;
		const known = causes.get(cause);
		const { requests, sinceMs } = known !== undefined && isKept(known, nowMs) ? known : { requests: 0, sinceMs: nowMs };
		causes.set(cause, { cause, requests: requests + 1, sinceMs, requestId: entry.requestId, lastMs: nowMs });
		this.#services.set(service, causes);
	}

	/** By qualified name, in the order of CAUSES. */
	at(nowMs: number): Readonly<Record<string, readonly Unheld[]>> {
		const all: Record<string, readonly Unheld[]> = {};
		for (const [service, causes] of this.#services) {
			for (const [cause, one] of causes) if (!isKept(one, nowMs)) causes.delete(cause);
			if (causes.size === 0) this.#services.delete(service);
			else all[service] = CAUSES.flatMap((cause) => causes.get(cause) ?? []).map(({ lastMs: _, ...unheld }) => unheld);
		}
		return all;
	}
}

const isKept = ({ lastMs }: { readonly lastMs: number }, nowMs: number): boolean => nowMs - lastMs < UNHELD_KEPT_MS;
