/** Bounds of the state and its API: decisions, plans, approvals, gates, audit, publication. */
import { TABLE_BYTES_MAX } from "./callout.js";

/** Body of API requests: a whole resource file (RESOURCE_FILE_BYTES_MAX). */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Body of what a person does to an Experiment, an approval or the access rules: names, and a reason of PERSON_TEXT_CHARS_MAX. */
export const API_ACT_BODY_BYTES_MAX = 64 * 1024;

/**
 * Bodies under way, of all callers of the TCP door together: sixteen whole files, and the text and the documents that are
 * made of each take some times as much. Outcomes, which are passed on, have as much apart; the UNIX socket's owner too.
 */
export const API_BODIES_BYTES_MAX = 64 * 1024 * 1024;

/** Of that one subject's: one whole file while another one is answered. */
export const API_BODIES_BYTES_PER_SUBJECT_MAX = 2 * API_BODY_BYTES_MAX;

/** How long a body may take to come: a whole one at 1.1 Mbit/s. */
export const API_BODY_MS_MAX = 30_000;

/** Parts of a body that are kept as they came: a part of one byte takes some hundred. */
export const API_BODY_PARTS_MAX = 256;

/** How much of a body that is passed on is gathered before it goes on, and for how long. */
export const API_BODY_PART_BYTES = 16 * 1024;
export const API_BODY_PART_MS = 50;

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

/** Of that, what one namespace's Services and rules may take: a table that is full stops every change, of everybody. */
export const NAMESPACE_TABLE_BYTES_MAX = 3 * 1024 * 1024;

/** All documents of one namespace, as written: each apply reads all that is stored. */
export const NAMESPACE_DECLARED_BYTES_MAX = 4 * 1024 * 1024;

/** Resources of all namespaces: each apply checks all that is stored. */
export const RESOURCES_MAX = 8_000;

/** Of those, one namespace's: what is full stops every new declaration, of everybody. */
export const NAMESPACE_RESOURCES_MAX = 4_000;

/**
 * Endpoints whose health Envoys check, of all namespaces: a socket each in every Envoy, and twice as many while they are
 * replaced. One that has no descriptor left ends (SIGSEGV at 20,000, Envoy 1.40).
 */
export const CHECKED_ENDPOINTS_MAX = 8_000;

/** Of those, one namespace's. */
export const NAMESPACE_CHECKED_ENDPOINTS_MAX = 4_000;

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

/** Requests that a client of the API's TCP door may have sent ahead on one connection; no common client sends any. */
export const API_REQUESTS_AHEAD_MAX = 16;

/** Beyond those, before the connection is cut: what Node reads at once holds some 700 short ones. */
export const API_REQUESTS_DROPPED_MAX = 1_000;

/** Requests of one subject under way at the API's TCP door, long polls among them: a team's senders share an identity. */
export const API_REQUESTS_PER_SUBJECT_MAX = 64;

/**
 * Requests that the API passes on to one role at once, of one subject and of all: the others wait, the subjects in turn. Those of
 * the UNIX socket's owner count apart. All together are well below what waits at a socket to be accepted (Node's backlog of
 * 511), where one more is refused to whoever it is. A body that does not come holds its place for API_BODY_MS_MAX, so that it
 * takes 16 subjects, each with many slow bodies, to keep others waiting.
 */
export const API_FORWARDED_OF_SUBJECT_MAX = 16;
export const API_FORWARDED_AT_ONCE_MAX = 256;
export const API_FORWARDED_OF_OWNER_MAX = 128;

/** How long one waits to be passed on, but for the owner's: less than clients wait for an answer, who may try again. */
export const API_FORWARDED_WAIT_MS = 10_000;

/** And its subject's own among what it waits for: as long as those take at the most whose bodies are slow. */
export const API_FORWARDED_WAIT_MS_MAX =
	(API_REQUESTS_PER_SUBJECT_MAX / API_FORWARDED_OF_SUBJECT_MAX) * API_BODY_MS_MAX;

/** Of those that one waited for, so many subjects are named: as many as can hold all places. */
export const API_FORWARDED_NAMED_MAX = API_FORWARDED_AT_ONCE_MAX / API_FORWARDED_OF_SUBJECT_MAX;

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

/**
 * Acts of one subject, at once and again per hour: a release has dozens, and one subject takes about a week to push out
 * what OPERATOR_AUDIT_RECORDS_MAX keeps. A pause and an abort never wait, and what comes next waits for longer. The owner of
 * the machine is not bound.
 */
export const ACTS_AT_ONCE_MAX = 1_000;
export const ACTS_PER_HOUR_MAX = 600;

/**
 * How long control's API reads the declarations of one subject, at once and again per hour: nothing else is answered
 * meanwhile. Dry runs, refused files, requests that are told of in part, and reads of what is declared and was decided count
 * too. A file of 4 MiB takes some 4 to 5 s, a small change over 2,000 stored Services with a policy each some 0.15 s. The owner
 * of the machine is not bound.
 */
export const READING_MS_AT_ONCE_MAX = 30_000;
export const READING_MS_PER_HOUR_MAX = 720_000;

/**
 * How Experiments stand is asked of ingest, as the loop asks, for one reader after the other: so many questions of one subject
 * wait or are under way, and so many of all wait. Who comes then takes the place of whoever has most. The owner of the machine
 * has as many as all, apart.
 */
export const STANDINGS_PER_SUBJECT_MAX = 4;
export const STANDINGS_WAITING_MAX = 64;

/** Subjects whose acts of the last hours are counted apart; further ones share one count. */
export const ACTING_SUBJECTS_MAX = 10_000;

/** Names of objects in one audit record; the count of all stands beside them. What changed more leaves several records. */
export const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/** Of a problem that a refused declaration's record tells: two whole names (253 characters each) and the words between. */
export const AUDIT_PROBLEM_CHARS_MAX = 600;

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

/**
 * Requests that wait for approval at once, those of the platform apart from those of namespaces. One namespace's take no
 * more than they leave free: 100, the next one's 50.
 */
export const APPROVAL_REQUESTS_PENDING_MAX = 200;

/** Of one subject, so that nobody fills the list for all. */
export const APPROVAL_REQUESTS_PER_SUBJECT_MAX = 50;

/**
 * Contents of declarations that wait, shared in the same way: one namespace's at most 128 MiB, the next one's 64. The
 * platform's apart, so that the state file holds twice as much.
 */
export const APPROVAL_CONTENT_BYTES_MAX = 256 * 1024 * 1024;
export const APPROVAL_CONTENT_BYTES_PER_SUBJECT_MAX = 64 * 1024 * 1024;

/** Effects that the head of a request names: all heads are read to list them and to ask for one more. */
export const APPROVAL_HEAD_EFFECTS_MAX = 20;

/** Requests that are over and kept; the oldest go first. */
export const APPROVAL_REQUESTS_ENDED_PER_NAMESPACE_MAX = 100;
export const APPROVAL_REQUESTS_ENDED_MAX = 1_000;

/** Contents of those that were done, which are kept with them; the oldest go first. */
export const APPROVAL_DONE_CONTENT_BYTES_PER_NAMESPACE_MAX = 16 * 1024 * 1024;
export const APPROVAL_DONE_CONTENT_BYTES_MAX = 256 * 1024 * 1024;

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
 * Rollbacks not yet told, of all Experiments; beyond it the oldest of whichever namespace has most is given up and counted. A
 * receiver was gone for all of them.
 */
export const GATE_OUTBOX_MAX = 10_000;

/**
 * Gates told at once of rollbacks, of all namespaces in turn and of each: receivers that hang keep nobody else's waiting, and
 * each that is told is a commit of control's API.
 */
export const GATES_TOLD_AT_ONCE_MAX = 32;
export const GATES_TOLD_AT_ONCE_IN_NAMESPACE_MAX = 4;

/** Changes of access rules that can be rolled back, of each namespace: some weeks of a busy team. */
export const POLICY_HISTORY_MAX = 200;

/** With what they replaced: beyond it the namespace's oldest go first, and its newest stays. Read whole by its rollback. */
export const POLICY_HISTORY_BYTES_MAX = 16 * 1024 * 1024;

/** Of all namespaces, for names come and go: beyond it the oldest of whichever has most. Fifty that are full. */
export const POLICY_HISTORIES_MAX = 10_000;

/**
 * Entries of lists and segments of paths that are looked up, of the rules before and after a change, to see whether they let in
 * more: about 0.4 s for each thing that is told of it, and a few more of each rule and its former self. Of more, they may.
 */
export const RULE_LOOKUPS_MAX = 5_000_000;

/** How long publication may stand still behind the state before that is told: a plan is usually out in a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;

/** How often xds tells what it published, and the state's owner looks whether that is behind. */
export const PUBLICATION_LOOK_MS = 1_000;

/** How long /readyz waits for what it only notes: who asks gives up after a second, and a note is no reason to. */
export const READY_NOTES_MS = 250;

/** Texts of requests whose documents are kept understood, which takes some times as much: one whole file. */
export const REQUEST_DOCUMENTS_BYTES_MAX = 4 * 1024 * 1024;
