/**
 * How a request ended that no access rule is known to have refused: Envoy's response_code_details of 1.36 to 1.40
 * (envoy/stream_info/stream_info.h, common/http/http1/codec_impl.cc, http2/codec_impl.cc), each in one place here.
 */
import { type AccessLogEntry, codeDetailsOf, LEFT_FLAGS } from "./accessLogEntry.js";
import { wasSentOn } from "./requestDetails.js";
import { sidecarAnswer } from "./sidecarAnswer.js";

/** `unjudged`: it ended before anybody said yes or no. */
export interface Ending {
	readonly kind: "denied" | "allowed" | "unjudged";
	readonly reason: string;
}

const ALLOWED: Ending = { kind: "allowed", reason: "allowed" };

/** The router's, which is behind all filters, where it has no upstream to send to. */
const NO_UPSTREAM: ReadonlySet<string> = new Set([
	"no_healthy_upstream",
	"cluster_not_found",
	"maintenance_mode",
	"drop_overload",
	"unconditional_drop_overload",
]);

/** Of Envoy itself, before any filter: requests that servers read in different ways. */
const HARDENING: ReadonlySet<string> = new Set([
	"low_version",
	"missing_host_header",
	"missing_path_rejected",
	"invalid_path",
	"absolute_path_rejected",
	"request_headers_failed_strict_check",
	"rejecting_because_detection_failed",
	"early_connect_data",
	// Of 1.40, by every version of HTTP: RFC 10008 section 2.
	"query_missing_content_type",
]);

const CLIENT_LEFT = "client-left";
const TIMED_OUT = "timed-out";
const CUT_SHORT = "cut-short";

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
	// No host is protected there: else the catch-all refuses it.
	["route_not_found", "unknown-service"],
	["route_configuration_not_found", "unknown-service"],
]);

/** What the codecs say of a request they do not take. New words of theirs are refusals until we know better. */
const CODEC = /^(?:http|http1|http2|http3|uhv)\./;

/** @param entry of which denialOf() says nothing */
export function endingOf(entry: AccessLogEntry): Ending {
	const details = codeDetailsOf(entry);
	// It may break off, or break a rule of the protocol, afterwards: the yes was said.
	if (details === "via_upstream" || wasSentOn(entry) || sidecarAnswer(entry)?.verdict === "allow") return ALLOWED;
	if (NO_UPSTREAM.has(details)) return ALLOWED;
	if (details === "direct_response") {
		// Of ours: a closed Service (compiler/closed.ts), whose route has no name, and a Variant that the route does not know.
		return { kind: "denied", reason: entry.routeName === "" ? "configuration-refused" : "unanswered" };
	}
	const unjudged = UNJUDGED.get(details);
	if (unjudged !== undefined) return { kind: "unjudged", reason: unjudged };
	if (HARDENING.has(details) || CODEC.test(details)) return { kind: "denied", reason: "not-canonical" };
	return { kind: "unjudged", reason: (entry.flags & LEFT_FLAGS) === 0 ? CUT_SHORT : CLIENT_LEFT };
}
