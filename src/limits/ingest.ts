/** Limits of ingest: the access log, outcomes, aggregates, the access record log. */

/**
 * Largest absolute value of an outcome: seven digits beyond 10^23 (a mole). Analysis multiplies four sums and two counts
 * (delta method, CUPED): for 10^9 outcomes per unit and 10^12 units that is 10^180, within a double (10^308). The fourth
 * power of 10^100 would not be.
 */
export const OUTCOME_VALUE_MAX = 1e30;

/** How often Envoy flushes its access-log buffer to ingest; evidence waits two of these (see settle). */
export const ACCESS_LOG_FLUSH_MS = 200;

/** Pseudonyms in memory (about 30 MB), and exposures that wait until they are final. */
export const UNIT_CACHE_MAX = 100_000;

/** Units of all Experiments whose last arm is cached, and the same number whose exposure is stored: 100 MB each when full. */
export const ARMS_KNOWN_MAX = 500_000;

/** Longest request id of an outcome: longer than UUIDs and trace ids. */
export const REQUEST_ID_CHARS_MAX = 256;

/**
 * Retention beyond the longest window and settling time: for threshold freezing, outcomes that wait for their exposure,
 * slow clocks.
 */
export const EVENTS_MARGIN_MS = 60 * 60 * 1000;

/** Timeout of one aggregate query to ingest. */
export const EVIDENCE_TIMEOUT_MS = 10_000;

/** How often Envoy logs an open request whose unit is set by a filter: its exposure is known only then. */
export const ACCESS_LOG_PERIODIC_MS = 1_000;

/** Requests that began within this time before ingest's outage may have ended in it; older open ones have failed. */
export const IN_PROGRESS_MS = 60_000;

/** Access records that wait for the store; beyond it new ones are dropped and counted. */
export const ACCESS_RECORD_QUEUE_MAX = 20_000;

/** How often ingest logs failing commits, which it retries twice a second. */
export const COMMIT_FAULTS_LOGGED_MS = 60_000;

/** How often Envoy's connection is checked with a PING. When it breaks, the reported gap begins that much earlier. */
export const ENVOY_PING_MS = 2_000;

/** A remote Envoy that has not answered for this time is down or unreachable. */
export const ENVOY_SILENT_MS = 10_000;

/** Names of the namespaces that a reader of the access record log has roles in, as the API sends them: 8,000 of the longest. */
export const NAMESPACES_HEADER_BYTES_MAX = 512 * 1024;

/** Latency thresholds whose slow shares are in one observation: it has that many columns. */
export const THRESHOLDS_TOGETHER = 4;
