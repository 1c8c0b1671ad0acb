/** Bounds of the predictor: bodies, queues, workers. */

/** Inference request body of a predictor. */
export const INFER_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Inference requests at once whose bodies are whole (queued and running): beyond it 503 with Retry-After. */
export const PREDICTOR_REQUESTS_MAX = 1_024;

/** Inference bodies under way at once: beyond it the one that is furthest behind is ended for the newcomer (408). */
export const PREDICTOR_BODIES_MAX = 1_024;

/**
 * Bytes of all bodies under way, and as many again of requests whose bodies are whole: 16 of the largest, so that a flood
 * of big tensors cannot fill the memory.
 */
export const PREDICTOR_BODY_BYTES_TOTAL_MAX = 16 * INFER_BODY_BYTES_MAX;

/** The slowest upload that is waited for, in bytes a second: the largest body may take a quarter of an hour. */
export const PREDICTOR_BODY_RATE_MIN = 16 * 1024;

/** How far a body may fall behind that: a client's pause, and the whole time of one that sends nothing. */
export const PREDICTOR_BODY_BEHIND_MS = 20_000;

/** Requests handed to one session worker at once: one runs, one is at hand, the rest can still be cancelled. */
export const PREDICTOR_PIPELINE_MAX = 2;

/** Rank of a tensor in a request: ONNX models stay below it, and nesting this deep parses in bounded stack. */
export const TENSOR_RANK_MAX = 16;

/** Idle connection time of the predictor: above Envoy's own upstream idle timeout (1 h), so that Envoy closes first and no request meets a closing socket. */
export const PREDICTOR_IDLE_MS = 3_660_000;

/** First and longest pause before a dead session worker is replaced; doubled each time it dies young. */
export const WORKER_RESTART_MS = { first: 50, max: 5_000 } as const;

/** How long a closing predictor waits for running requests, and then for its workers. */
export const PREDICTOR_DRAIN_MS = 10_000;

/** Connections of Envoys to a predictor: each opens one per worker thread and request under way. */
export const PREDICTOR_CONNECTIONS_MAX = 16_384;

/**
 * Connections that wait to be accepted: an Envoy opens one per request under way, and many at once. Beyond Node's 511 a burst
 * of them met Envoy's connect timeout, which is 503. The kernel has a bound of its own (Linux: net.core.somaxconn, 4,096).
 */
export const PREDICTOR_BACKLOG = 4_096;

/** At most one line in this time about connections that the predictor refuses; all are counted. */
export const PREDICTOR_REFUSAL_LOG_MS = 10_000;
