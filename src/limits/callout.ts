/** Limits of the sidecar: calls, connections and its table. */

/** HTTP/2 flow-control windows of the sidecar: a usual message (60 KiB of headers) arrives without a window update. */
export const CALLOUT_WINDOW_BYTES = { stream: 128 * 1024, connection: 1024 * 1024 } as const;

/**
 * Largest table (JSON) of a plan: some 3,000 Services of five policies with ten principals each. Parsing blocks the
 * sidecar for 10 ms per MiB.
 */
export const TABLE_BYTES_MAX = 8 * 1024 * 1024;

/** Characters of the error that rejects a table: it goes into xDS and a log line. */
export const TABLE_ERROR_CHARS_MAX = 500;

/**
 * Age of a table after which the sidecar denies: the default of Service.spec.callout, also for a Service whose plan has
 * no callout.
 */
export const CALLOUT_STALENESS_MS = 10 * 60 * 1000;

/**
 * Groups, tenants, purposes and claim values that Envoy matches for one Service; beyond it the sidecar decides, which
 * uses sets. Envoy compares each value with each item of a token's list: 6 to 20 µs a value (1.40.0), so 1.2 to 4 ms of
 * its thread. Shadow policies or denials may double it (never both).
 */
export const LISTED_VALUES_MAX = 200;

/**
 * Callouts on one connection from an Envoy that Weir does not run. It may end each ext_proc stream with a reset, and
 * Node closes a connection at the 1,000th; with 900 no request failed.
 */
export const CALLOUT_REQUESTS_PER_CONNECTION = 900;

/** A table file: TABLE_BYTES_MAX plus version, time and format. */
export const TABLE_FILE_BYTES_MAX = TABLE_BYTES_MAX + 1024;
