/** Limits of the state and its API: decisions, plans, approvals, gates, audit, publication. */
import { TABLE_BYTES_MAX } from "./callout.js";

/**
 * The table of an applied declaration. The rest of TABLE_BYTES_MAX is for later additions: a Service's callout and an
 * Experiment's takeover, some 100 bytes each.
 */
export const DECLARED_TABLE_BYTES_MAX = TABLE_BYTES_MAX - 1024 * 1024;

/** Resources of all namespaces: each apply checks them all. */
export const RESOURCES_MAX = 8_000;

/** Longest long poll on the state: below the idle timeouts of common HTTP stacks. */
export const STATE_LONG_POLL_MS_MAX = 60_000;

/** Decisions in one page: each carries tens of KB of evidence. */
export const DECISIONS_PAGE_MAX = 200;

/** Longest qualified name or salt that is looked up in the state file; LMDB keys have at most 1,978 bytes. */
export const STATE_KEY_CHARS_MAX = 512;

/** Longest name of a person and reason of an operation: they are stored with every decision. */
export const PERSON_TEXT_CHARS_MAX = 1_000;

/** Concurrent connections to the API: people, CI and a few roles. */
export const API_CONNECTIONS_MAX = 1_000;

/** Subject of an API caller: a SPIFFE id has at most 2,048 bytes, and an issuer plus a sub is shorter in practice. */
export const CALLER_SUBJECT_CHARS_MAX = 2_048;

/** Object names in one audit record, which also has their total. A larger change writes several records. */
export const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/** Records in a response of GET /v1/audit. */
export const OPERATOR_AUDIT_PAGE_MAX = 1_000;

/** Effects that an approval request lists; its documents have the rest. */
export const APPROVAL_EFFECTS_SHOWN_MAX = 20;

/** First and longest pause before a gate that refused or did not answer is asked again, and before a rollback is sent again. */
export const GATE_RETRY_MS = { first: 1_000, max: 60_000 } as const;

/** Pending rollback notifications of all Experiments; beyond it the oldest is dropped and counted. */
export const GATE_OUTBOX_MAX = 10_000;

/** How far publication may lag behind the state before it is reported: it usually takes a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;

/** How often control looks for a lag of its publication. */
export const PUBLICATION_CHECK_MS = 1_000;

/** How long /readyz waits for its notes: probes time out after a second, and a note must not cause that. */
export const READY_NOTES_MS = 250;
