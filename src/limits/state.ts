/** Limits of the state and its API. */

/** Resources of all namespaces: each apply checks them all. */
export const RESOURCES_MAX = 8_000;

/** Decisions in one page: each carries tens of KB of evidence. */
export const DECISIONS_PAGE_MAX = 200;

/** Longest qualified name or salt that is looked up in the state file; LMDB keys have at most 1,978 bytes. */
export const STATE_KEY_CHARS_MAX = 512;

/** Concurrent connections to the API: people, CI and a few roles. */
export const API_CONNECTIONS_MAX = 1_000;

/** Subject of an API caller: a SPIFFE id has at most 2,048 bytes, and an issuer plus a sub is shorter in practice. */
export const CALLER_SUBJECT_CHARS_MAX = 2_048;

/** Records in a response of GET /v1/audit. */
export const OPERATOR_AUDIT_PAGE_MAX = 1_000;

/** First and longest pause before a gate that refused or did not answer is asked again, and before a rollback is sent again. */
export const GATE_RETRY_MS = { first: 1_000, max: 60_000 } as const;

/** How far publication may lag behind the state before it is reported: it usually takes a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;
