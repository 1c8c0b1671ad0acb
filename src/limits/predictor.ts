/** Limits of the predictor: bodies, queues, workers. */

/** Inference request body of a predictor. */
export const INFER_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Complete inference requests (queued and running); more get 503 with Retry-After. */
export const PREDICTOR_REQUESTS_MAX = 1_024;

/** Inference bodies in transfer; beyond it the slowest one is ended with 408 for the new one. */
export const PREDICTOR_BODIES_MAX = 1_024;

/** Bytes of all bodies in transfer, and the same again of complete requests: 16 of the largest. */
export const PREDICTOR_BODY_BYTES_TOTAL_MAX = 16 * INFER_BODY_BYTES_MAX;

/** Slowest upload, in bytes a second: the largest body may take 15 minutes. */
export const PREDICTOR_BODY_RATE_MIN = 16 * 1024;

/** How far a body may fall behind PREDICTOR_BODY_RATE_MIN, for example in a pause of the client. */
export const PREDICTOR_BODY_BEHIND_MS = 20_000;

/** Requests sent to one session worker: one runs, one waits; the others can still be cancelled. */
export const PREDICTOR_PIPELINE_MAX = 2;

/** Rank of a tensor in a request: ONNX models are below it, and it limits the parser's stack. */
export const TENSOR_RANK_MAX = 16;

/**
 * Idle timeout of the predictor: above Envoy's upstream idle timeout (1 h), so that Envoy closes first and loses no
 * request.
 */
export const PREDICTOR_IDLE_MS = 3_660_000;

/** First and longest pause before a dead session worker is replaced; doubled each time it dies early. */
export const WORKER_RESTART_MS = { first: 50, max: 5_000 } as const;

/** How long a stopping predictor waits for running requests, and then for its workers. */
export const PREDICTOR_DRAIN_MS = 10_000;

/** Connections to a predictor: each Envoy opens one per worker thread and active request. */
export const PREDICTOR_CONNECTIONS_MAX = 16_384;

/**
 * Listen backlog. With Node's 511 a burst of connections hit Envoy's connect timeout (503). The kernel has its own limit
 * (Linux: net.core.somaxconn, 4,096).
 */
export const PREDICTOR_BACKLOG = 4_096;

/** At most one log line in this time about refused connections; all are counted. */
export const PREDICTOR_REFUSAL_LOG_MS = 10_000;
