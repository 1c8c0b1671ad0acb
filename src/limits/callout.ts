/** Bounds of the sidecar: calls, connections, the table that it answers by. */

/** One gRPC message to the sidecar: a CheckRequest or ProcessingRequest holds headers only, at most GATEWAY_HEADERS_KIB and their context. */
export const GRPC_CALLOUT_MESSAGE_BYTES_MAX = 1024 * 1024;

/** Unfinished gRPC messages of all calls to the sidecar together: 64 of the largest, far above what Envoys in step leave open. */
export const CALLOUT_PARTIAL_BYTES_MAX = 64 * GRPC_CALLOUT_MESSAGE_BYTES_MAX;

/**
 * Open calls on one connection to the sidecar. Where an Envoy needs more at once (CALLOUT_PROCESS_STREAMS_MAX) it opens
 * another connection.
 */
export const CALLOUT_STREAMS_MAX = 1_024;

/**
 * Calls by ext_authz that one Envoy lets wait at once; beyond them it answers 503 without waiting. Sidecar and Envoy take
 * some 150 µs of a core for one: more of them would all wait beyond the timeout of 200 ms, and none be served.
 */
export const CALLOUT_WAITING_MAX = 512;

/** Connections to the sidecar: Envoy opens one per worker thread and cluster, and more only beyond CALLOUT_STREAMS_MAX. */
export const CALLOUT_CONNECTIONS_MAX = 1_024;

/** How long one turn of the sidecar's event loop answers calls before it sheds the rest: half of Envoy's default callout timeout of 200 ms. */
export const CALLOUT_QUEUE_MS_MAX = 100;

/** The most that one gap between two messages adds to a turn: longer ones are pauses of the process (scheduling, garbage collection), not a queue. */
export const CALLOUT_GAP_MS = 20;

/** How often each connection to the sidecar is asked for a sign of life (PING); one that gives none until the next time is cut. Local peers answer in microseconds. */
export const CALLOUT_PING_MS = 10_000;

/** Request headers (gRPC metadata) of one call to the sidecar, as HTTP/2 counts them: trace context and configured metadata; the checked request travels in the message. */
export const CALLOUT_METADATA_BYTES_MAX = 64 * 1024;

/** Flow-control windows of the sidecar: a call's largest usual message (60 KiB of headers) comes without waiting, and a connection takes several at once. */
export const CALLOUT_WINDOW_BYTES = { stream: 128 * 1024, connection: 1024 * 1024 } as const;

/** Memory that one connection's HTTP/2 state may take (MB, Node's maxSessionMemory) before new calls are refused: CALLOUT_STREAMS_MAX calls with some KB of metadata and data each. */
export const CALLOUT_CONNECTION_MEMORY_MB = 32;

/**
 * RST_STREAM frames taken on one connection at once, and per second after that, where the Node line lets us say (22 and
 * later). Node's 1,000 and 33 guard against strangers; our peer is the local Envoy, which resets every ext_proc stream
 * unless told otherwise, at most as many as one core can open.
 */
export const CALLOUT_RESETS = { burst: 100_000, perSecond: 50_000 } as const;

/** How long Envoy waits for the sidecar where no Service says otherwise: Envoy's own default for ext_authz and ext_proc. */
export const CALLOUT_TIMEOUT_MS = 200;

/** Longest wait that a Service may ask for: Envoy has one time for all Services of a Gateway, so it delays every failed callout. */
export const CALLOUT_TIMEOUT_MS_MAX = 10_000;

/**
 * How long a sidecar reads a new table's rules between calls, before it answers by them. A megabyte of rules takes 0.3 s; what is left
 * then is read by the first request that needs it.
 */
export const TABLE_AHEAD_MS_MAX = 1_000;

/**
 * How long a worker of the sidecar, which sends a message every second, may be silent until it is killed and replaced. To load its
 * code takes up to 5 s on a machine whose cores many others want, and so does reading a table (TABLE_BYTES_MAX).
 */
export const WORKER_SILENT_MS = 30_000;

/** Tables that the sidecar holds: the newest, and those before it that Envoys' routes may still name for a moment. */
export const CALLOUT_TABLES_KEPT = 3;

/**
 * A plan's table as JSON. No call is answered while one is read (parsed, hashed, checked), so its size is time: about
 * 10 ms per MiB of one core, 80 ms at this size. It holds some 3,000 Services of five policies with ten principals each.
 */
export const TABLE_BYTES_MAX = 8 * 1024 * 1024;

/** First and longest pause before the sidecar asks control again; control is back within seconds of its return. */
export const TABLE_FEED_RETRY_MS = { first: 50, max: 2_000 } as const;

/** A UNIX socket connects at once; a peer that has not said a word of HTTP/2 by then hangs. */
export const TABLE_FEED_CONNECT_MS = 5_000;

/** Pings on the sidecar's stream to control: a control that hangs is noticed within 15 s, well below any maxStaleness in use. */
export const TABLE_FEED_KEEPALIVE_MS = { every: 10_000, answer: 5_000 } as const;

/** Characters of the words with which a table is rejected: they travel in xDS and into a log line. */
export const TABLE_WORDS_CHARS_MAX = 500;

/** Closed Services of which a sidecar tells control why; of more it tells the names alone. */
export const TABLE_CLOSED_WORDS_MAX = 100;

/**
 * How long a sidecar that starts waits for control's table until it answers by the one on its disk: control's comes 0.1 to 0.3 s
 * after it is asked, from another machine too.
 */
export const TABLE_CONTROL_FIRST_MS = 2_000;

/** How long a sidecar that starts waits for a first table until it listens without one, and answers 503. */
export const SIDECAR_FIRST_TABLE_MS = 5_000;

/**
 * After how long a standstill of its loop a sidecar answers nothing until it has asked control anew. Longer than a machine whose cores
 * many others want keeps it waiting (1 to 2 s), and shorter than control lets a table stay untaken (PUBLICATION_LAG_MS, 5 s).
 */
export const SIDECAR_STOOD_STILL_MS = 3_000;

/** How often the sidecar's file is told that its table is still confirmed: a restart takes it for at most this much older than it is. */
export const TABLE_FILE_REFRESH_MS = 10_000;

/**
 * How long a table waits for the disk to let go of the one before: for a write that is under way (8 MiB take 0.3 s) and the removal.
 * A disk that hangs must not keep what is denied now from being denied.
 */
export const TABLE_FILE_SWAP_MS_MAX = 2_000;

/** How often a static table's file is looked at. */
export const TABLE_FILE_POLL_MS = 2_000;

/** How far in the future a file's time may lie: a clock that was set back by more makes the table's age unknown. */
export const TABLE_CLOCK_SKEW_MS = 5_000;

/** Age of a table beyond which the sidecar denies for a Service whose plan has no callout: Service.spec.callout's default. */
export const CALLOUT_STALENESS_MS = 10 * 60 * 1000;

/**
 * Groups, tenants, purposes and values of claims that Envoy is given for one Service: it compares each with each item of a token's
 * list: 6 us a value for a token of 6.6 KB with 800 groups, 10 us for 1,400 letters, 20 us for the worst of TOKEN_BYTES_MAX, a scope of
 * numbers (1.40.0). So 1.2 to 4 ms, for which others wait on the same thread; twice that with shadow policies, or with denials, which
 * may bring it to twice as many (never with both). Beyond it the sidecar decides, which keeps sets.
 */
export const LISTED_VALUES_MAX = 200;

/** Nested groups in one message to the sidecar: nobody sends one, and protobuf's own readers end at this depth. */
export const PROTO_GROUPS_DEPTH_MAX = 100;

/**
 * Callouts on one connection to the sidecar from an Envoy that is not ours: it may end each ext_proc stream with a reset,
 * and Node closes a connection at the 1,000th (dataplane reference 6: 900 gave no failures).
 */
export const CALLOUT_REQUESTS_PER_CONNECTION = 900;

/** A file with a table: TABLE_BYTES_MAX and the version, time and form beside it. */
export const TABLE_FILE_BYTES_MAX = TABLE_BYTES_MAX + 1024;

/**
 * ext_proc streams that one Envoy has open at once. Where the response is wanted (exposeArm, cookies) a stream lives as
 * long as the upstream takes to answer and does nothing meanwhile, so they are not work that waits but memory: 7.3 KiB
 * each in the sidecar (measured with 5,000), so 120 MiB in all. 16,384 are 3,200 requests a second to an upstream that
 * takes 5 s.
 */
export const CALLOUT_PROCESS_STREAMS_MAX = 16_384;

/** Calls that wait for a token's verdict: beyond, they are shed as calls that wait for the loop are. */
export const CALLOUT_TOKENS_WAITING_MAX = 1_024;

/** Callers whose ids a sidecar need not judge again: 1,000 of at most 8 KiB, what a gRPC message may hold of one. */
export const CALLERS_KNOWN_MAX = 1_000;

/** Milliseconds that the sidecar waits for the verdict on a token that only shadow policies look at: a quarter of CALLOUT_TIMEOUT_MS. */
export const SHADOW_TOKEN_WAIT_MS = 50;
