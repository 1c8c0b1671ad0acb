/**
 * The access verdict of a request, from Envoy's response_code_details of 1.36 to 1.40 (envoy/stream_info/stream_info.h,
 * common/http/http1/codec_impl.cc, http2/codec_impl.cc), the metadata of the RBAC filters and the sidecar's answer.
 */
import { denialOf as nativeDenial, ruleDenial } from "../../../../compile/envoy/denial.js";
import { parseRouteName } from "../../../../compile/plan/compiledPlan.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import {
	answeredByEnvoy,
	BROKEN_OFF_FLAGS,
	LEFT_FLAGS,
	LIMITED_FLAG,
	OVERLOAD_FLAG,
	reachedRouter,
} from "./responseFlags.js";

/** Texts as received, not escaped. */
export interface Verdict {
	/** `unjudged`: it ended before a rule allowed or refused it. */
	readonly kind: "denied" | "allowed" | "unjudged";
	readonly reason: string;
	/** AccessPolicy that decided; null = none, or unknown: Envoy does not log which policy allowed a request. */
	readonly policy: string | null;
	readonly by: "envoy" | "sidecar";
}

export interface Denial {
	readonly by: "envoy" | "sidecar";
	/** null = the sidecar refused, and its metadata hold the reason. */
	readonly reason: string | null;
	/** AccessPolicy that decided; null = none, or it is in the sidecar's metadata. */
	readonly policy: string | null;
}

export function verdictOf(entry: AccessLogEntry): Verdict {
	const denial = denialOf(entry);
	if (denial === null) return notDenied(entry);
	const { by, reason, policy } = denial;
	const answer = by === "sidecar" ? entry.sidecar : null;
	// The host is no Service's, so the route is not a Weir route.
	const unknown = reason === "no-policy-allows" && parseRouteName(entry.routeName) === null;
	return {
		kind: "denied",
		reason: unknown ? "unknown-service" : (answer?.reason ?? reason ?? "forbidden"),
		policy: answer?.policy ?? policy,
		by,
	};
}

const WEIR = "weir_";
const UNANSWERED: Denial = { by: "sidecar", reason: "unanswered", policy: null };
const BY_SIDECAR: Denial = { by: "sidecar", reason: null, policy: null };

const byEnvoy = (reason: string): Denial => ({ by: "envoy", reason, policy: null });

/** null = no access rule refused the request. */
export function denialOf(entry: AccessLogEntry): Denial | null {
	if (!answeredByEnvoy(entry)) return null;
	return denialByDetails(entry.codeDetails) ?? denialByMetadata(entry);
}

function denialByDetails(codeDetails: string): Denial | null {
	const native = nativeDenial(codeDetails);
	if (native !== null) return { by: "envoy", ...native };
	// Escaped slashes are refused while the path is normalised, before any filter.
	if (codeDetails === "path_normalization_failed") return byEnvoy("not-canonical");
	if (codeDetails === "ext_authz_denied") return BY_SIDECAR;
	if (codeDetails === "ext_authz_error" || codeDetails.startsWith("ext_proc_error")) return UNANSWERED;
	if (!codeDetails.startsWith(WEIR)) return null;
	return { by: "sidecar", reason: codeDetails.slice(WEIR.length).replaceAll("_", "-"), policy: null };
}

/** If an HTTP/2 client leaves during its refusal, the details describe the leaving; the metadata still show the denial. */
function denialByMetadata(entry: AccessLogEntry): Denial | null {
	const { sidecar, rbac, flags, codeDetails } = entry;
	if (reachedRouter(entry)) return null;
	if (sidecar?.verdict === "deny") return BY_SIDECAR;
	if (sidecar?.verdict === "allow") return null;
	const rule = rbac === null ? null : refusingRule(rbac);
	if (rule !== null) return { by: "envoy", ...ruleDenial(rule) };
	if ((flags & LIMITED_FLAG) !== 0) return byEnvoy("rate-limited");
	const brokenOff = (flags & BROKEN_OFF_FLAGS) !== 0 || codeDetails === "too_many_premature_resets";
	return brokenOff && (flags & OVERLOAD_FLAG) === 0 ? denialByStatus(entry) : null;
}

/** Without metadata and flags, each status has only one possible refusal left. */
function denialByStatus({ status, routeName }: AccessLogEntry): Denial | null {
	switch (status) {
		case 401:
			return byEnvoy("invalid-token");
		case 403:
			return byEnvoy("forbidden");
		case 503:
			// The route of a closed Service has no name (compile/table/closedVirtualHost.ts).
			return routeName === "" ? byEnvoy("configuration-refused") : UNANSWERED;
		default:
			return null;
	}
}

/** Metadata prefixes of our filters (compile/envoy/accessControl.ts, calloutProof.ts); weir.deny has none. */
const PREFIXES = ["weir_gate_", "", "weir_allow_", "weir_proof_"];

/** Name of the refusing rule; `none` = no rule of weir.allow matched. */
function refusingRule(rbac: ReadonlyMap<string, string>): string | null {
	const prefix = PREFIXES.find((one) => rbac.get(`${one}enforced_engine_result`) === "denied");
	return prefix === undefined ? null : (rbac.get(`${prefix}enforced_effective_policy_id`) ?? "none");
}

/** Details from the router, which runs after all filters, when it has no upstream. */
const NO_UPSTREAM: ReadonlySet<string> = new Set([
	"no_healthy_upstream",
	"cluster_not_found",
	"maintenance_mode",
	"drop_overload",
	"unconditional_drop_overload",
]);

/** Details of refusals by Envoy before any filter: requests that servers parse in different ways. */
const HARDENING: ReadonlySet<string> = new Set([
	"low_version",
	"missing_host_header",
	"missing_path_rejected",
	"invalid_path",
	"absolute_path_rejected",
	"request_headers_failed_strict_check",
	"rejecting_because_detection_failed",
	"early_connect_data",
	// Envoy 1.40 uses it for every version of HTTP: RFC 10008 section 2.
	"query_missing_content_type",
]);

/** Details of requests refused by the codecs; new ones of a later Envoy count as refusals too. */
const CODEC = /^(?:http|http1|http2|http3|uhv)\./;

const CLIENT_LEFT = "client-left";
const TIMED_OUT = "timed-out";

const UNJUDGED: ReadonlyMap<string, string> = new Map([
	["downstream_remote_disconnect", CLIENT_LEFT],
	["http2.remote_reset", CLIENT_LEFT],
	["http2.remote_refuse", CLIENT_LEFT],
	["stream_idle_timeout", TIMED_OUT],
	["max_duration_timeout", TIMED_OUT],
	["request_overall_timeout", TIMED_OUT],
	["request_header_timeout", TIMED_OUT],
	["downstream_header_timeout", TIMED_OUT],
	["duration_timeout", TIMED_OUT],
	["overload", "overloaded"],
	// No host is protected on such a listener; otherwise the catch-all route refuses it.
	["route_not_found", "unknown-service"],
	["route_configuration_not_found", "unknown-service"],
]);

function notDenied({ codeDetails, sentOn, sidecar, routeName, flags }: AccessLogEntry): Verdict {
	const verdict = (kind: Verdict["kind"], reason: string): Verdict => ({ kind, reason, policy: null, by: "envoy" });
	if (sidecar?.verdict === "allow")
		return { kind: "allowed", reason: sidecar.reason ?? "allowed", policy: sidecar.policy, by: "sidecar" };
	// The request may break off or violate the protocol after it was allowed.
	if (codeDetails === "via_upstream" || sentOn || NO_UPSTREAM.has(codeDetails)) return verdict("allowed", "allowed");
	// Weir's own answers: a closed Service (compile/table/closedVirtualHost.ts, a route without a name), or a Variant unknown to the route.
	if (codeDetails === "direct_response")
		return verdict("denied", routeName === "" ? "configuration-refused" : "unanswered");
	const unjudged = UNJUDGED.get(codeDetails);
	if (unjudged !== undefined) return verdict("unjudged", unjudged);
	if (HARDENING.has(codeDetails) || CODEC.test(codeDetails)) return verdict("denied", "not-canonical");
	return verdict("unjudged", (flags & LEFT_FLAGS) === 0 ? "cut-short" : CLIENT_LEFT);
}
