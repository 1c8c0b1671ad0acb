/** Limits of the sidecar: calls, connections and its table. */

/** Largest gRPC message to the sidecar: it holds request headers (GATEWAY_HEADERS_KIB) and their context. */
export const GRPC_CALLOUT_MESSAGE_BYTES_MAX = 1024 * 1024;

/** Incomplete gRPC messages of all calls together: 64 of the largest. */
export const CALLOUT_PARTIAL_BYTES_MAX = 64 * GRPC_CALLOUT_MESSAGE_BYTES_MAX;

/** Open calls on one connection to the sidecar. An Envoy that needs more opens another connection. */
export const CALLOUT_STREAMS_MAX = 1_024;

/**
 * Pending ext_authz calls of one Envoy; it answers 503 to more. A call takes 150 µs of a core, so more would exceed the
 * timeout of 200 ms.
 */
export const CALLOUT_WAITING_MAX = 512;

/** Connections to the sidecar: Envoy opens one per worker thread and cluster, and more only beyond CALLOUT_STREAMS_MAX. */
export const CALLOUT_CONNECTIONS_MAX = 1_024;

/**
 * Longest time in one iteration of the event loop that answers calls; the sidecar sheds the rest. Half of
 * CALLOUT_TIMEOUT_MS.
 */
export const CALLOUT_QUEUE_MS_MAX = 100;

/**
 * Longest gap between two messages that counts as queueing. A longer gap is a pause of the process (scheduling, garbage
 * collection).
 */
export const CALLOUT_GAP_MS = 20;

/** Interval of HTTP/2 PINGs on a connection to the sidecar; it is closed if one is not answered before the next. */
export const CALLOUT_PING_MS = 10_000;

/** Request headers (gRPC metadata) of one call to the sidecar. The checked request is in the message, not here. */
export const CALLOUT_METADATA_BYTES_MAX = 64 * 1024;

/** HTTP/2 flow-control windows of the sidecar: a usual message (60 KiB of headers) arrives without a window update. */
export const CALLOUT_WINDOW_BYTES = { stream: 128 * 1024, connection: 1024 * 1024 } as const;

/** HTTP/2 memory of one connection in MB (Node's maxSessionMemory): CALLOUT_STREAMS_MAX calls with a few KB each. */
export const CALLOUT_CONNECTION_MEMORY_MB = 32;

/**
 * RST_STREAM frames accepted on one connection, where Node can set it (22 and later). Node's default of 1,000 and 33 is
 * too low: the local Envoy resets every ext_proc stream by default.
 */
export const CALLOUT_RESETS = { burst: 100_000, perSecond: 50_000 } as const;

/** Default timeout of a callout: Envoy's own default for ext_authz and ext_proc. */
export const CALLOUT_TIMEOUT_MS = 200;

/** Longest timeout that a Service may set. Envoy has one timeout per Gateway, so it delays every failed callout. */
export const CALLOUT_TIMEOUT_MS_MAX = 10_000;

/**
 * How long a sidecar compiles the rules of a new table between calls before it uses the table. 1 MB takes 0.3 s; a
 * request compiles what is left.
 */
export const TABLE_AHEAD_MS_MAX = 1_000;

/**
 * A sidecar worker sends a message every second; it is killed and replaced after this silence. On a busy machine it may
 * take 5 s to load its code or a table.
 */
export const WORKER_SILENT_MS = 30_000;

/** Tables that the sidecar holds: the newest, and older ones that Envoy's routes may still name. */
export const CALLOUT_TABLES_KEPT = 3;

/**
 * Largest table (JSON) of a plan: some 3,000 Services of five policies with ten principals each. Parsing blocks the
 * sidecar for 10 ms per MiB.
 */
export const TABLE_BYTES_MAX = 8 * 1024 * 1024;

/** First and longest pause before the sidecar connects to control again. */
export const TABLE_FEED_RETRY_MS = { first: 50, max: 2_000 } as const;

/** Timeout of the HTTP/2 handshake with control: a UNIX socket connects at once. */
export const TABLE_FEED_CONNECT_MS = 5_000;

/** PINGs on the sidecar's stream to control: detects a hanging control in 15 s, well below any maxStaleness in use. */
export const TABLE_FEED_KEEPALIVE_MS = { every: 10_000, answer: 5_000 } as const;

/** Characters of the error that rejects a table: it goes into xDS and a log line. */
export const TABLE_ERROR_CHARS_MAX = 500;

/** Closed Services that a sidecar reports with a reason; the others with their name only. */
export const TABLE_CLOSED_REASONS_MAX = 100;

/**
 * How long a starting sidecar waits for control's table before it uses the one on its disk. Control usually answers in
 * 0.3 s.
 */
export const TABLE_CONTROL_FIRST_MS = 2_000;

/** How long a starting sidecar waits for any table before it listens without one and answers 503. */
export const SIDECAR_FIRST_TABLE_MS = 5_000;

/**
 * After a pause of its event loop of this length, a sidecar asks control again before it answers. Longer than pauses of
 * a busy machine (1 to 2 s), shorter than PUBLICATION_LAG_MS.
 */
export const SIDECAR_STALL_MS = 3_000;

/** How often the sidecar updates the time in its table file. After a restart the table's age is wrong by at most this. */
export const TABLE_FILE_REFRESH_MS = 10_000;

/**
 * How long a new table waits for the write (0.3 s for 8 MiB) and removal of the previous file. A hanging disk must not
 * delay a denial.
 */
export const TABLE_FILE_SWAP_MS_MAX = 2_000;

/** How often the sidecar checks a static table file. */
export const TABLE_FILE_POLL_MS = 2_000;

/** How far in the future a file's time may be; beyond it the table's age is unknown. */
export const TABLE_CLOCK_SKEW_MS = 5_000;

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

/** Nested groups in one message to the sidecar: the limit of protobuf's own readers. */
export const PROTO_GROUPS_DEPTH_MAX = 100;

/**
 * Callouts on one connection from an Envoy that Weir does not run. It may end each ext_proc stream with a reset, and
 * Node closes a connection at the 1,000th (dataplane reference 6: 900 gave no failures).
 */
export const CALLOUT_REQUESTS_PER_CONNECTION = 900;

/** A table file: TABLE_BYTES_MAX plus version, time and format. */
export const TABLE_FILE_BYTES_MAX = TABLE_BYTES_MAX + 1024;

/**
 * Open ext_proc streams of one Envoy. With exposeArm or cookies a stream stays open until the upstream answers and costs
 * 7.3 KiB in the sidecar (measured with 5,000), so 120 MiB in all. Enough for 3,200 requests a second to an upstream
 * that takes 5 s.
 */
export const CALLOUT_PROCESS_STREAMS_MAX = 16_384;

/** Calls that wait for the verification of a token; more are shed. */
export const CALLOUT_TOKENS_WAITING_MAX = 1_024;

/** Callers whose parsed ids a sidecar caches: 1,000 of at most 8 KiB. */
export const CALLERS_CACHED_MAX = 1_000;

/**
 * How long the sidecar waits for the verification of a token that only shadow policies need: a quarter of
 * CALLOUT_TIMEOUT_MS.
 */
export const SHADOW_TOKEN_WAIT_MS = 50;
