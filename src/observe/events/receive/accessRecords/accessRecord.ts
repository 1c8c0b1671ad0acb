/**
 * One access record: a request that was refused (or, sampled, allowed, or ended before a verdict), an assignment
 * change of a unit, refused outcomes or a refused stream, or a time with missing records (gaps.ts).
 * It names workloads by SPIFFE id and units by pseudonym. It never holds a header, a query, a payload, a token in compact
 * form (JWS, JWE), or a token's user. It holds the path, which may contain user ids: segments with an @ or such a token, and
 * parameters of segments, are masked (access/requests/shownPath.ts). Other ids in paths (numbers, names, opaque tokens)
 * cannot be detected and are kept as long as the log (ACCESS_RECORDS_KEPT_MS).
 */
import { CUT, shownPath } from "../../../../compile/access/requests/shownPath.js";
import { parseRouteName } from "../../../../compile/plan/compiledPlan.js";
import { TRACE_HEADER } from "../../../../compile/plan/headers.js";
import { spiffeFault } from "../../../../declare/resources/spiffe.js";
import { HANDSHAKE_FAULTS } from "../../../../trust/tls/handshake.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { calledBy, type SidecarAnswer } from "../accessLog/sidecarAnswer.js";
import { verdictOf } from "../accessLog/verdict.js";

/** Longest path, method or name in an access record: long enough to recognise, too short for a payload. */
export const ACCESS_RECORD_TEXT_CHARS_MAX = 512;

export const ACCESS_RECORD_KINDS = [
	"denied",
	"allowed",
	"unjudged",
	"assignment-changed",
	"outcome-refused",
	"stream-refused",
	"records-missing",
] as const;
export type AccessRecordKind = (typeof ACCESS_RECORD_KINDS)[number];

/** Why records are missing: ingest did not receive the entries, or could not store the records. */
export const GAP_REASONS = ["not-received", "not-stored"] as const;

/**
 * All possible reasons of a record: of verdicts (native ones in compile/envoy/denial.ts, the sidecar's in sidecar/question.ts),
 * of refused outcomes and streams, of peers without an identity, and of an assignment change.
 */
export const ACCESS_RECORD_REASONS: readonly string[] = [
	...["open", "allowed", "forbidden", "no-policy-allows", "not-canonical", "no-single-identity", "unknown-service"],
	...[
		"invalid-token",
		"verification-limited",
		"rate-limited",
		"loop-detected",
		"unanswered",
		"no-table",
		"stale-table",
	],
	...["no-signer", "malformed", "overloaded", "upgrade-refused", "configuration-refused"],
	...["client-left", "timed-out", "cut-short", "assignment-changed"],
	...["no-identity", "sender-not-granted", "not-an-envoy", "other-node", "other-gateway", "too-many"],
	...HANDSHAKE_FAULTS,
	...GAP_REASONS,
];

export interface AccessRecord {
	readonly kind: AccessRecordKind;
	/** Epoch milliseconds: start of the request, time of the refusal, or start of the time with missing records. */
	readonly atMs: number;
	/** The id made by Envoy; null = refused before Envoy made one (accessLogEntry.ts), or no request. */
	readonly requestId: string | null;
	/**
	 * 32 hex digits of the W3C trace context, sampled or not; null = tracing is off, Envoy refused the request before its
	 * filters (or it was an upgrade), or could not read the client's context.
	 */
	readonly traceId: string | null;
	readonly gateway: string | null;
	/** Qualified names. */
	readonly service: string | null;
	/** null = not one of the nine methods of RequestMethod: Envoy logs an enumeration, no text (PURGE, PROPFIND). */
	readonly method: string | null;
	/** Without query, and masked (access/requests/shownPath.ts). */
	readonly path: string | null;
	/** SPIFFE id of the judged caller, or of the sender of outcomes or a stream. */
	readonly principal: string | null;
	/** SPIFFE id of the Gateway's trusted proxy that called on its behalf; null = no proxy. */
	readonly via: string | null;
	/** Pseudonym. */
	readonly unit: bigint | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	/** assignment-changed: the previous arm; null = none. */
	readonly formerArm: string | null;
	readonly variant: string | null;
	readonly verdict: "allow" | "deny" | null;
	/** A reason code of access verdicts, or why outcomes or a stream were refused. */
	readonly reason: string;
	/** The deciding AccessPolicy; for refused outcomes, the declared Metric whose `senders` decided. */
	readonly policy: string | null;
	readonly by: "envoy" | "sidecar" | "ingest";
	/** Version of the plan that decided. */
	readonly plan: string | null;
	/** HTTP status; null = none was sent. */
	readonly status: number | null;
	/** Duration of the request, or of the time with missing records. */
	readonly latencyMs: number | null;
	/** Number of equal cases: rows of batches whose Metric it names, else requests, streams, or missing records (0 = unknown). */
	readonly count: number;
}

export const NOTHING_ELSE: AccessRecord = {
	kind: "denied",
	atMs: 0,
	requestId: null,
	traceId: null,
	gateway: null,
	service: null,
	method: null,
	path: null,
	principal: null,
	via: null,
	unit: null,
	experiment: null,
	arm: null,
	formerArm: null,
	variant: null,
	verdict: null,
	reason: "",
	policy: null,
	by: "ingest",
	plan: null,
	status: null,
	latencyMs: null,
	count: 1,
};

/** Text in printable form: bounded, and every control character escaped. */
export function shownText(text: string): string {
	const cut =
		text.length > ACCESS_RECORD_TEXT_CHARS_MAX ? `${text.slice(0, ACCESS_RECORD_TEXT_CHARS_MAX)}${CUT}` : text;
	return cut.replace(
		/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
		(char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** A SPIFFE id in printable form; null for any other certificate name, which could identify a person. */
export function shownPrincipal(id: string | null): string | null {
	return id !== null && spiffeFault(id) === null ? id : null;
}

/** traceparent of W3C Trace Context level 1, section 3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;
const NO_TRACE = "0".repeat(32);

/** The record of a request. `unit` and its related fields are not known here. */
export function accessRecordIn(entry: AccessLogEntry, gateway: string | null): AccessRecord {
	const { kind, reason, policy, by } = verdictOf(entry);
	// Requests that Envoy refused itself have no sidecar answer.
	const answer = kind === "denied" && by === "envoy" ? null : entry.sidecar;
	return {
		...requestRecord(entry, gateway, answer),
		kind,
		verdict: ENDING_VERDICTS[kind],
		reason: shownText(reason),
		policy: shownOrNull(policy),
		by,
	};
}

const ENDING_VERDICTS = { denied: "deny", allowed: "allow", unjudged: null } as const;

const shownOrNull = (text: string | null): string | null => (text === null ? null : shownText(text));

/** Fields common to all records of a request. */
export function requestRecord(
	entry: AccessLogEntry,
	gateway: string | null,
	answer: SidecarAnswer | null,
): AccessRecord {
	const { method, path, headers } = entry;
	const { principal, via } = calledBy(entry.principal, answer);
	const route = parseRouteName(entry.routeName);
	const trace = TRACEPARENT.exec(headers.get(TRACE_HEADER) ?? "")?.[1];
	return {
		...NOTHING_ELSE,
		atMs: Math.floor(entry.startUs / 1e3),
		requestId: entry.requestId === "" ? null : shownText(entry.requestId),
		traceId: trace === undefined || trace === NO_TRACE ? null : trace,
		gateway: shownOrNull(gateway),
		service: route === null ? null : shownText(route.service),
		method: shownOrNull(method),
		path: shownText(shownPath(path)),
		principal: shownPrincipal(principal),
		via: shownPrincipal(via),
		plan: shownOrNull(answer?.plan ?? route?.version ?? null),
		status: entry.status === 0 ? null : entry.status,
		latencyMs: entry.durationMs,
	};
}
