/** Bounds of the state and its API: decisions, plans, approvals, gates, audit, publication. */
import { TABLE_BYTES_MAX } from "./callout.js";

/** Body of API requests: a whole resource file (RESOURCE_FILE_BYTES_MAX). */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Body of what a person does to an Experiment, an approval or the access rules: names, and a reason of PERSON_TEXT_CHARS_MAX. */
export const API_OPERATION_BODY_BYTES_MAX = 64 * 1024;

/** How long a request may take to arrive: a whole body at 1.1 Mbit/s. */
export const API_REQUEST_MS_MAX = 30_000;

/** Body of a plan that xds hands over: the largest table that a sidecar reads, and a margin for characters of several bytes. */
export const PLAN_BODY_BYTES_MAX = TABLE_BYTES_MAX + 64 * 1024;

/**
 * A report of xds: each of XDS_STREAMS_MAX clients with what it refuses in words, and each Service of a table once as closed,
 * which takes less there than in the table.
 */
export const PROXIES_BODY_BYTES_MAX = 2 * TABLE_BYTES_MAX;

/**
 * The table of all that is declared, where it is applied. The rest of TABLE_BYTES_MAX is for what comes later by itself:
 * a Service's callout and an Experiment's takeover, some 100 bytes each.
 */
export const DECLARED_TABLE_BYTES_MAX = TABLE_BYTES_MAX - 1024 * 1024;

/** All documents, as written: each apply reads all that is stored. */
export const DECLARED_BYTES_MAX = 32 * 1024 * 1024;

/** Rules times the Services that they select; in the table each takes at least 100 bytes. */
export const SELECTED_RULES_MAX = Math.floor(DECLARED_TABLE_BYTES_MAX / 100);

/** Resources of all namespaces: each apply checks all that is stored. */
export const RESOURCES_MAX = 8_000;

/**
 * Endpoints whose health Envoys check, of all namespaces: a socket each in every Envoy, and twice as many while they are
 * replaced. One that has no descriptor left ends (SIGSEGV at 20,000, Envoy 1.40).
 */
export const CHECKED_ENDPOINTS_MAX = 8_000;

/** Longest wait of one long poll on the state: below the idle limits of common HTTP stacks, so none cuts it. */
export const STATE_LONG_POLL_MS_MAX = 60_000;

/** Decisions in one page: each carries its evidence (tens of KB), so a page stays in the low megabytes. */
export const DECISIONS_PAGE_MAX = 200;

/** Plans kept at the least, however old: a request may stay open across many quick ramps. */
export const PLANS_KEPT_MIN = 200;

/** Plans younger than this are all kept: no request but a stream lives longer, and evidence is long matured. */
export const PLAN_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest qualified name or salt that is looked up in the state file; LMDB keys end at 1,978 bytes. */
export const STATE_KEY_CHARS_MAX = 512;

/** Longest name of a person and reason of a verb: they are stored with every decision. */
export const PERSON_TEXT_CHARS_MAX = 1_000;

/** Connections to the API at once: people, CI and a few roles. */
export const API_CONNECTIONS_MAX = 1_000;

/** One request of a role to the state's owner, long polls' own wait not counted; then it counts as dead. */
export const STATE_CALL_TIMEOUT_MS = 10_000;

/** Moves of live traffic that are looked through for the one behind a request's allocation: a plan is taken in seconds. */
export const MOVES_LOOKED_AT = 10;

/** Subject of an API caller: a SPIFFE id has at most 2,048 bytes, an issuer and a sub together no more than that in use. */
export const CALLER_SUBJECT_CHARS_MAX = 2_048;

/**
 * Acts of operators that are kept: years of a busy team, some 100 MB at 1 KB each (one of 50 long names has 14). The oldest
 * are dropped and counted; `--verify` takes more dropped ones than this explains for a fault, so who raises it must keep the old
 * number beside it.
 */
export const OPERATOR_AUDIT_RECORDS_MAX = 100_000;

/** Refused attempts that are kept, in a chain of their own: who may do nothing writes there, and pushes out no act. */
export const OPERATOR_AUDIT_REFUSED_MAX = 50_000;

/** Names of objects in one audit record; the count of all stands beside them. What changed more leaves several records. */
export const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/** Paths of changed fields that are told of one resource, their depth and length: a record says what a change is about, not what it is. */
export const CHANGED_FIELDS_MAX = 8;
export const CHANGED_FIELD_DEPTH_MAX = 3;
export const CHANGED_FIELD_CHARS_MAX = 80;

/** Refused attempts of one subject that are recorded per minute: each is a disk write, and a flood would push out the acts. The rest are counted. */
export const OPERATOR_AUDIT_REFUSALS_PER_MINUTE = 60;

/** Subjects whose refusals are counted apart at a time; further ones share one count. */
export const OPERATOR_AUDIT_SUBJECTS_MAX = 1_000;

/** Answer of GET /v1/audit. */
export const OPERATOR_AUDIT_PAGE_MAX = 1_000;

/** Before it a request is not void: a policy whose requests nobody has the time to approve could not be taken away. */
export const APPROVAL_EXPIRE_MIN_MS = 60_000;

/** Requests that wait for approval at once. */
export const APPROVAL_REQUESTS_PENDING_MAX = 200;

/** Contents of requests that wait, together. */
export const APPROVAL_CONTENT_BYTES_MAX = 256 * 1024 * 1024;

/** Effects that a request lists: its documents have the rest. */
export const APPROVAL_EFFECTS_SHOWN_MAX = 20;

/** Requests that are over and kept; the oldest go first. */
export const APPROVAL_REQUESTS_ENDED_MAX = 1_000;

/** How long a request that is over (done, rejected, void) can still be looked at; its acts stay in the audit log. */
export const APPROVAL_REQUEST_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** What is read of a gate's answer: its status decides, the body is only quoted. */
export const GATE_ANSWER_BYTES_MAX = 4_096;

/** Characters of a gate's own words that a decision quotes. */
export const GATE_WORDS_CHARS_MAX = 200;

/** First and longest pause before a gate that said no, or nothing, is asked again, and a rollback is told again. */
export const GATE_RETRY_MS = { first: 1_000, max: 60_000 } as const;

/** Longest pause between two records of one hold whose gate answers otherwise again and again: 24 a day. */
export const GATE_RECORD_MS_MAX = 60 * 60 * 1000;

/** So many other names of one hold are recorded at once, for persons mend one thing after the other; one more for each of these times. */
export const HOLD_NAMES_AT_ONCE = 20;
export const HOLD_NAMES_REGAIN_MS = 2 * 60_000;

/**
 * A gate's yes is used by then or asked for again: it was given to what stood then. The loop looks in the next
 * tick, which is about a second later, at whose gates have said yes, before it looks at the others of the namespace.
 */
export const GATE_YES_MS = 30_000;

/**
 * Rollbacks not yet told, of all Experiments; beyond it the oldest is given up and counted. A
 * receiver was gone for all of them.
 */
export const GATE_OUTBOX_MAX = 10_000;

/** Gates told at once of rollbacks: each that is told is a commit of control's API. */
export const GATES_TOLD_AT_ONCE_MAX = 32;

/** Changes of the declaration that can be rolled back, and the documents that they replaced; the oldest go first. */
export const HISTORY_REVISIONS_MAX = 1_000;
export const HISTORY_BYTES_MAX = 64 * 1024 * 1024;

/** How long publication may stand still behind the state before that is told: a plan is usually out in a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;

/** How often xds tells what it published, and the state's owner looks whether that is behind. */
export const PUBLICATION_LOOK_MS = 1_000;

/** How long /readyz waits for what it only notes: who asks gives up after a second, and a note is no reason to. */
export const READY_NOTES_MS = 250;
