/** Limits of the predictor: bodies, queues, workers. */

/** Inference request body of a predictor. */
export const INFER_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Bytes of all bodies in transfer, and the same again of complete requests: 16 of the largest. */
export const PREDICTOR_BODY_BYTES_TOTAL_MAX = 16 * INFER_BODY_BYTES_MAX;

/** First and longest pause before a dead session worker is replaced; doubled each time it dies early. */
export const WORKER_RESTART_MS = { first: 50, max: 5_000 } as const;

/** How long a stopping predictor waits for running requests, and then for its workers. */
export const PREDICTOR_DRAIN_MS = 10_000;

/** Connections to a predictor: each Envoy opens one per worker thread and active request. */
export const PREDICTOR_CONNECTIONS_MAX = 16_384;
