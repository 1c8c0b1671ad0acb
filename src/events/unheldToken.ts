/**
 * Why a request has no unit in its token's claim: by what Envoy leaves in its access-log entry, the result of the rules of
 * compiler/claims.ts and the token as jwt_authn has verified it. Of claims only their presence is told, and times.
 */
import { fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { claimPath } from "../access/claim.js";
import { CLAIMS_RESULT, CLAIMS_RULE } from "../compiler/claims.js";
import { parseRouteName } from "../compiler/plan.js";
import { TOKENS_METADATA } from "../compiler/tokenMetadata.js";
import { isTimesRule } from "../compiler/tokenRules.js";
import { MetadataSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import { TOKEN_SKEW_SECONDS, UNHELD_KEPT_MS, UNHELD_SERVICES_MAX } from "../limits.js";
import type { Unheld } from "../rollout/ports.js";
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
		return "Envoy could not verify it (signature, key, issuer, audience, exp, nbf), or it is not written as one token";
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

function valueAt(claims: JsonObject, path: readonly string[]): JsonValue | undefined {
	let value: JsonValue | undefined = claims;
	for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
	return value;
}

/** Counts such requests by Service, until there was none for UNHELD_KEPT_MS. */
export class UnheldTokens {
	readonly #services = new Map<string, Unheld & { readonly lastMs: number }>();

	/** Of an end entry. */
	see(entry: AccessLogEntry, nowMs: number): void {
		if (refusingRule(entry) === null) return;
		const service = parseRouteName(entry.routeName)?.service;
		if (service === undefined) return;
		const known = this.#services.get(service);
		if (known === undefined && this.#services.size >= UNHELD_SERVICES_MAX) return;
		const { requests, sinceMs } = known !== undefined && isKept(known, nowMs) ? known : { requests: 0, sinceMs: nowMs };
		this.#services.set(service, { requests: requests + 1, sinceMs, requestId: entry.requestId, lastMs: nowMs });
	}

	/** By qualified name. */
	at(nowMs: number): Readonly<Record<string, Unheld>> {
		for (const [service, one] of this.#services) if (!isKept(one, nowMs)) this.#services.delete(service);
		return Object.fromEntries(
			[...this.#services].map(([service, { lastMs: _, ...unheld }]) => [service, unheld] as const),
		);
	}
}

const isKept = ({ lastMs }: { readonly lastMs: number }, nowMs: number): boolean => nowMs - lastMs < UNHELD_KEPT_MS;
