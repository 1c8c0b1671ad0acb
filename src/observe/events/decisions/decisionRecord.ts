/**
 * One record of the decision log: a request that was refused (or, sampled, allowed, or ended before a verdict), a unit whose
 * assignment changed, outcomes or a stream that were not taken, a time of which records may be missing (gaps.ts). It names workloads by SPIFFE id, units by their keyed pseudonym; it
 * never holds a header, a query, a payload or a token in compact form (JWS, JWE), nor the user of a token. It does hold the
 * path, in which a Service may have put whom it is about: segments with an @ or such a token, and parameters of segments, are
 * masked (access/requests/shownPath.ts); other ids in paths (numbers, names, opaque tokens, which cannot be told from those) are kept
 * as they were written, for as long as the log is (limits.ts, DECISIONS_KEPT_MS).
 */
import { CUT, shownPath } from "../../../compile/access/requests/shownPath.js";
import { TRACE_HEADER } from "../../../compile/envoy/headers.js";
import { parseRouteName } from "../../../compile/table/plan.js";
import { spiffeFault } from "../../../declare/resources/spiffe.js";
import { DECISION_TEXT_CHARS_MAX } from "../../../limits/index.js";
import { HANDSHAKE_FAULTS } from "../../../trust/tls/handshake.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { calledBy, type SidecarAnswer } from "../accessLog/sidecarAnswer.js";
import { verdictOf } from "./verdict.js";

export const DECISION_KINDS = [
	"denied",
	"allowed",
	"unjudged",
	"assignment-changed",
	"outcome-refused",
	"stream-refused",
	"records-missing",
] as const;
export type DecisionKind = (typeof DECISION_KINDS)[number];

/** Why records are missing: entries did not reach ingest, or it could not store their records. */
export const GAP_REASONS = ["not-received", "not-stored"] as const;

/**
 * All that a record's reason can be: of verdicts (native ones in compiler/denial.ts, the sidecar's in sidecar/question.ts),
 * of outcomes and streams that were not taken or of peers that proved nothing, and that an assignment changed.
 */
export const DECISION_REASONS: readonly string[] = [
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

export interface DecisionRecord {
	readonly kind: DecisionKind;
	/** Epoch milliseconds: when the request began, or the refusal happened; from when on records are missing. */
	readonly atMs: number;
	/** That Envoy made; null = it refused the request before it made one (accessLogEntry.ts), or the record is of none. */
	readonly requestId: string | null;
	/**
	 * 32 hex digits of the W3C trace context, sampled or not; null = there is none: traces are not collected, Envoy refused the
	 * request before its filters (an upgrade, too), or could not read its client's.
	 */
	readonly traceId: string | null;
	readonly gateway: string | null;
	/** Qualified names. */
	readonly service: string | null;
	/** null = none of the nine of RequestMethod: Envoy's access log has an enumeration, and no text (PURGE, PROPFIND). */
	readonly method: string | null;
	/** Without query, and masked (access/requests/shownPath.ts). */
	readonly path: string | null;
	/** SPIFFE id of the calling workload, which was judged, or of who sent outcomes or a stream. */
	readonly principal: string | null;
	/** SPIFFE id of the Gateway's trusted proxy that called for it; null = it called itself. */
	readonly via: string | null;
	/** Pseudonym. */
	readonly unit: bigint | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	/** assignment-changed: the arm before; null = none. */
	readonly formerArm: string | null;
	readonly variant: string | null;
	readonly verdict: "allow" | "deny" | null;
	/** A reason code of access verdicts, or why outcomes or a stream were refused. */
	readonly reason: string;
	/** AccessPolicy that decided; of outcomes that were not taken, the declared Metric whose `senders` did. */
	readonly policy: string | null;
	readonly by: "envoy" | "sidecar" | "ingest";
	/** Version of the plan by which it was decided. */
	readonly plan: string | null;
	/** HTTP status; null = none was sent. */
	readonly status: number | null;
	/** Of a request; of a time of which records are missing how long it lasted, for what ended in it. */
	readonly latencyMs: number | null;
	/** How many alike it stands for: rows of batches whose Metric it names, else requests, streams, what is missing (0 = unknown). */
	readonly count: number;
}

export const NOTHING_ELSE: DecisionRecord = {
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

/** Text as it may be kept and shown: bounded, and every character that a terminal or a log line could obey written out. */
export function shownText(text: string): string {
	const cut = text.length > DECISION_TEXT_CHARS_MAX ? `${text.slice(0, DECISION_TEXT_CHARS_MAX)}${CUT}` : text;
	return cut.replace(
		/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
		(char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** A SPIFFE id as it may be shown; anything else that a certificate may name could be a person. */
export function shownPrincipal(id: string | null): string | null {
	return id !== null && spiffeFault(id) === null ? id : null;
}

/** traceparent of W3C Trace Context level 1, section 3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;
const NO_TRACE = "0".repeat(32);

/** What became of a request. `unit` and what belongs to it are not known here. */
export function decisionIn(entry: AccessLogEntry, gateway: string | null): DecisionRecord {
	const { kind, reason, policy, by } = verdictOf(entry);
	// What Envoy refuses itself the sidecar has said nothing about.
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

/** What every record of a request says. */
export function requestRecord(
	entry: AccessLogEntry,
	gateway: string | null,
	answer: SidecarAnswer | null,
): DecisionRecord {
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
