/**
 * Every bound of Weir in one file, each with its reason. A room that needs a new bound adds it here.
 * Sizes are in bytes, times in milliseconds, unless the name says otherwise.
 */

/** The scale of all assignment arithmetic: parts per million (design: "Assignment, bit for bit"). */
export const PPM = 1_000_000;

/** Longest unit that executions outside Envoy take; Envoy's own bound is the header limit below. */
export const UNIT_BYTES_MAX = 65_536;

/** Gateway request header limit in KiB: Envoy's own default, and so the longest unit of the native form. */
export const GATEWAY_HEADERS_KIB = 60;

/** One resource document set: far above any real file, small enough to parse in one go. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Documents in one file or one apply. */
export const RESOURCE_DOCUMENTS_MAX = 5_000;

/** Arms of one experiment: each costs 2·(challengers) weighted entries per request table. */
export const ARMS_MAX = 16;

/** Arm weights are integers up to this, so that 10⁶·Σw stays an exact double. */
export const ARM_WEIGHT_MAX = 1_000_000;

/** POST body of outcomes: 10,000 rows of about 400 bytes. */
export const OUTCOMES_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Rows in one outcomes request. */
export const OUTCOMES_ROWS_MAX = 10_000;

/** How far in the future an outcome's time may lie: clock skew between hosts, nothing more. */
export const OUTCOME_CLOCK_SKEW_MS = 5_000;

/** Access-log entries waiting for the store; beyond it new ones are dropped and counted. */
export const ACCESS_LOG_QUEUE_MAX = 200_000;

/** Body of other API requests (resources, decisions). */
export const API_BODY_BYTES_MAX = RESOURCE_FILE_BYTES_MAX;

/** gRPC message limit: above the largest xDS push and access-log batch we make. */
export const GRPC_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Inference request body of a predictor. */
export const INFER_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Spans kept by the embedded store of recent spans. */
export const RECENT_SPANS_MAX = 100_000;

/** How often Envoy flushes its access-log buffer to ingest; evidence waits two of these (see settle). */
export const ACCESS_LOG_FLUSH_MS = 200;

/** Settling time of a metric when its Service has no timeout: after it an unfinished request is a failure. */
export const SETTLE_DEFAULT_MS = 5_000;
