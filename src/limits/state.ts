/** Limits of the state and its API: decisions, plans, approvals, gates, audit, publication. */
import { TABLE_BYTES_MAX } from "./callout.js";

/** Body of API requests: a whole resource file (RESOURCE_FILE_BYTES_MAX). */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Body of what a person does to an Experiment, an approval or the access rules: names, and a reason of PERSON_TEXT_CHARS_MAX. */
export const API_OPERATION_BODY_BYTES_MAX = 64 * 1024;

/** How long a request may take to arrive: a full body at 1.1 Mbit/s. */
export const API_REQUEST_MS_MAX = 30_000;

/** Body of a plan that xds submits: TABLE_BYTES_MAX, and a margin for multi-byte characters. */
export const PLAN_BODY_BYTES_MAX = TABLE_BYTES_MAX + 64 * 1024;

/**
 * A report of xds: the errors of XDS_STREAMS_MAX clients, and each closed Service of a table once, which takes less
 * space than in the table.
 */
export const PROXIES_BODY_BYTES_MAX = 2 * TABLE_BYTES_MAX;

/**
 * The table of an applied declaration. The rest of TABLE_BYTES_MAX is for later additions: a Service's callout and an
 * Experiment's takeover, some 100 bytes each.
 */
export const DECLARED_TABLE_BYTES_MAX = TABLE_BYTES_MAX - 1024 * 1024;

/** All declared documents: each apply reads them all. */
export const DECLARED_BYTES_MAX = 32 * 1024 * 1024;

/** Rules times the Services that they select; each takes at least 100 bytes in the table. */
export const SELECTED_RULES_MAX = Math.floor(DECLARED_TABLE_BYTES_MAX / 100);

/** Resources of all namespaces: each apply checks them all. */
export const RESOURCES_MAX = 8_000;

/**
 * Endpoints with health checks, of all namespaces: one socket each in every Envoy, and two during a replacement. An
 * Envoy without free descriptors crashes (SIGSEGV at 20,000, Envoy 1.40).
 */
export const CHECKED_ENDPOINTS_MAX = 8_000;

/** Longest long poll on the state: below the idle timeouts of common HTTP stacks. */
export const STATE_LONG_POLL_MS_MAX = 60_000;

/** Decisions in one page: each carries tens of KB of evidence. */
export const DECISIONS_PAGE_MAX = 200;

/** Plans kept regardless of age: a request may stay open during many ramps. */
export const PLANS_KEPT_MIN = 200;

/** Plans younger than this are all kept: no request except a stream is that long. */
export const PLAN_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest qualified name or salt that is looked up in the state file; LMDB keys have at most 1,978 bytes. */
export const STATE_KEY_CHARS_MAX = 512;

/** Longest name of a person and reason of an operation: they are stored with every decision. */
export const PERSON_TEXT_CHARS_MAX = 1_000;

/** Concurrent connections to the API: people, CI and a few roles. */
export const API_CONNECTIONS_MAX = 1_000;

/** Timeout of one request of a role to the state's owner, without the wait of a long poll. */
export const STATE_CALL_TIMEOUT_MS = 10_000;

/** Recent changes of live traffic that are searched for a request's allocation: Envoys apply a plan in seconds. */
export const TRAFFIC_CHANGES_SEARCHED = 10;

/** Subject of an API caller: a SPIFFE id has at most 2,048 bytes, and an issuer plus a sub is shorter in practice. */
export const CALLER_SUBJECT_CHARS_MAX = 2_048;

/**
 * Audit records that are kept: 100 MB at 1 KB each (up to 14 KB with 50 long names). The oldest are dropped and counted.
 * `--verify` reports more dropped records than this explains: keep the old number beside a new one.
 */
export const OPERATOR_AUDIT_RECORDS_MAX = 100_000;

/** Refused attempts that are kept, in a chain of their own, so that they evict no record of an operation. */
export const OPERATOR_AUDIT_REFUSED_MAX = 50_000;

/** Object names in one audit record, which also has their total. A larger change writes several records. */
export const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/** Paths of changed fields recorded per resource, their depth and length: a record is a summary. */
export const CHANGED_FIELDS_MAX = 8;
export const CHANGED_FIELD_DEPTH_MAX = 3;
export const CHANGED_FIELD_CHARS_MAX = 80;

/** Refused attempts of one subject that are recorded per minute; the rest is counted. Each record is a disk write. */
export const OPERATOR_AUDIT_REFUSALS_PER_MINUTE = 60;

/** Subjects with a separate count of refusals; further ones share one. */
export const OPERATOR_AUDIT_SUBJECTS_MAX = 1_000;

/** Records in a response of GET /v1/audit. */
export const OPERATOR_AUDIT_PAGE_MAX = 1_000;

/** Shortest life of an approval request: with a shorter one no change of that policy could be approved. */
export const APPROVAL_EXPIRE_MIN_MS = 60_000;

/** Approval requests that are pending. */
export const APPROVAL_REQUESTS_PENDING_MAX = 200;

/** Documents of all pending approval requests. */
export const APPROVAL_CONTENT_BYTES_MAX = 256 * 1024 * 1024;

/** Effects that an approval request lists; its documents have the rest. */
export const APPROVAL_EFFECTS_SHOWN_MAX = 20;

/** Closed approval requests that are kept; the oldest are dropped first. */
export const APPROVAL_REQUESTS_ENDED_MAX = 1_000;

/** How long a closed approval request (done, rejected, void) is kept; the audit log keeps its operations. */
export const APPROVAL_REQUEST_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** Bytes read of a gate's response: its status decides, the body is only quoted. */
export const GATE_ANSWER_BYTES_MAX = 4_096;

/** Characters of a gate's response that a decision quotes. */
export const GATE_QUOTE_CHARS_MAX = 200;

/** First and longest pause before a gate that refused or did not answer is asked again, and before a rollback is sent again. */
export const GATE_RETRY_MS = { first: 1_000, max: 60_000 } as const;

/** Longest pause between two records of one hold whose gate keeps changing its response: 24 a day. */
export const GATE_RECORD_MS_MAX = 60 * 60 * 1000;

/** Different names of one hold that are recorded at once, and the time after which one more is. */
export const HOLD_NAMES_AT_ONCE = 20;
export const HOLD_NAMES_REGAIN_MS = 2 * 60_000;

/**
 * How long a gate's approval is valid; the rollout may have changed since. The next tick, a second later, first
 * evaluates Experiments whose gates have approved.
 */
export const GATE_APPROVAL_MS = 30_000;

/** Pending rollback notifications of all Experiments; beyond it the oldest is dropped and counted. */
export const GATE_OUTBOX_MAX = 10_000;

/** Concurrent rollback notifications to gates: each one sent is a commit of control's API. */
export const GATE_NOTIFICATIONS_AT_ONCE_MAX = 32;

/** Revisions that can be rolled back, and the size of their replaced documents; the oldest are dropped first. */
export const HISTORY_REVISIONS_MAX = 1_000;
export const HISTORY_BYTES_MAX = 64 * 1024 * 1024;

/** How far publication may lag behind the state before it is reported: it usually takes a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;

/** How often xds reports its publication, and the state's owner checks for a lag. */
export const PUBLICATION_CHECK_MS = 1_000;

/** How long /readyz waits for its notes: probes time out after a second, and a note must not cause that. */
export const READY_NOTES_MS = 250;
