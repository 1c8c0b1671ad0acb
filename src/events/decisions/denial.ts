/**
 * What an entry says of a refusal by access rules, whoever decided. Mostly `response_code_details` do; of a client that
 * takes no answer and goes they say only how it went, and what its request was refused for lies elsewhere in the entry.
 */
import { denialOf as nativeDenial, ruleDenial } from "../../compiler/denial.js";
import {
	type AccessLogEntry,
	answeredByEnvoy,
	BROKEN_OFF_FLAGS,
	codeDetailsOf,
	LIMITED_FLAG,
	OVERLOAD_FLAG,
} from "../accessLog/accessLogEntry.js";
import { eachNamespace } from "../accessLog/filterMetadata.js";
import { reachedRouter } from "../accessLog/requestDetails.js";
import { sidecarAnswer } from "../accessLog/sidecarAnswer.js";

export interface Denial {
	readonly by: "envoy" | "sidecar";
	/** null = the sidecar refused, and its metadata say why. */
	readonly reason: string | null;
	/** AccessPolicy that decided; null = none, or not told here. */
	readonly policy: string | null;
}

const WEIR = "weir_";
const UNANSWERED: Denial = { by: "sidecar", reason: "unanswered", policy: null };

/** null = no access rule refused the request. */
export function denialOf(entry: AccessLogEntry): Denial | null {
	if (!answeredByEnvoy(entry)) return null;
	return denialByDetails(codeDetailsOf(entry)) ?? untakenDenial(entry);
}

function denialByDetails(codeDetails: string): Denial | null {
	const native = nativeDenial(codeDetails);
	if (native !== null) return { by: "envoy", ...native };
	// Escaped slashes are refused while the path is normalised, before any filter.
	if (codeDetails === "path_normalization_failed") return byEnvoy("not-canonical");
	if (codeDetails === "ext_authz_denied") return { by: "sidecar", reason: null, policy: null };
	if (codeDetails === "ext_authz_error" || codeDetails.startsWith("ext_proc_error")) {
		return UNANSWERED;
	}
	if (!codeDetails.startsWith(WEIR)) return null;
	return { by: "sidecar", reason: codeDetails.slice(WEIR.length).replaceAll("_", "-"), policy: null };
}

const byEnvoy = (reason: string): Denial => ({ by: "envoy", reason, policy: null });

/** A client of HTTP/2 that leaves no room for the answer's body has the last word in the details: those of its leaving. */
function untakenDenial(entry: AccessLogEntry): Denial | null {
	if (reachedRouter(entry)) return null;
	const answer = sidecarAnswer(entry);
	if (answer?.verdict === "deny") return { by: "sidecar", reason: null, policy: null };
	if (answer?.verdict === "allow") return null;
	const rule = eachNamespace(entry, RBAC, refusingRule);
	if (rule !== null) return { by: "envoy", ...ruleDenial(rule) };
	if ((entry.flags & LIMITED_FLAG) !== 0) return byEnvoy("rate-limited");
	const brokenOff = (entry.flags & BROKEN_OFF_FLAGS) !== 0 || codeDetailsOf(entry) === "too_many_premature_resets";
	return brokenOff && (entry.flags & OVERLOAD_FLAG) === 0 ? denialByStatus(entry) : null;
}

/** What neither metadata nor a flag tells: each status is that of the one refusal which is left that answers so. */
function denialByStatus({ status, routeName }: AccessLogEntry): Denial | null {
	switch (status) {
		case 401:
			return byEnvoy("invalid-token");
		case 403:
			return byEnvoy("forbidden");
		case 503:
			// The route of a closed Service has no name (compiler/closed.ts).
			return routeName === "" ? byEnvoy("configuration-refused") : UNANSWERED;
		default:
			return null;
	}
}

const RBAC: ReadonlySet<string> = new Set(["envoy.filters.http.rbac"]);
/** Of our filters, each behind its own prefix (compiler/accessControl.ts, calloutProof.ts); weir.deny has none. */
const PREFIXES = ["weir_gate_", "", "weir_allow_", "weir_proof_"];

/** Name of the rule by which one of them refused; `none` = no rule of weir.allow let it pass. */
function refusingRule(said: ReadonlyMap<string, string>): string | null {
	const prefix = PREFIXES.find((one) => said.get(`${one}enforced_engine_result`) === "denied");
	return prefix === undefined ? null : (said.get(`${prefix}enforced_effective_policy_id`) ?? "none");
}
