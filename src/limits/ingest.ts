/** Limits of ingest: the access log, outcomes, aggregates, the decision log. */
import { RESOURCES_MAX } from "./state.js";

/** POST body of outcomes: 10,000 rows of about 400 bytes. */
export const OUTCOMES_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Rows in one outcomes request. */
export const OUTCOMES_ROWS_MAX = 10_000;

/** How often a refused sender is logged and recorded, with a count. */
export const SENDERS_LOGGED_MS = 60_000;

/**
 * Largest absolute value of an outcome: seven digits beyond 10^23 (a mole). Analysis multiplies four sums and two counts
 * (delta method, CUPED): for 10^9 outcomes per unit and 10^12 units that is 10^180, within a double (10^308). The fourth
 * power of 10^100 would not be.
 */
export const OUTCOME_VALUE_MAX = 1e30;

/** How far in the future an outcome's time may be: clock skew between hosts. */
export const OUTCOME_CLOCK_SKEW_MS = 5_000;

/** Access-log entries that wait for the store; beyond it new ones are dropped and counted. */
export const ACCESS_LOG_QUEUE_MAX = 200_000;

/** How often Envoy flushes its access-log buffer to ingest; evidence waits two of these (see settle). */
export const ACCESS_LOG_FLUSH_MS = 200;

/**
 * How long a stopped Envoy may write its access log: two flushes and its admin's responses. Between tries its admin is
 * asked for requests in progress.
 */
export const ENVOY_FINAL_FLUSH_MS = 500;
export const ENVOY_FINAL_FLUSH_TRIES = 3;

/** How long a stopping ingest waits for requests in progress: less than CLOSE_MS. */
export const EVENTS_DRAIN_MS = 1_000;

/** Longest time before an access-log entry is committed. An evidence query commits at once. */
export const ACCESS_LOG_COMMIT_MS = 500;

/** Access-log entries in one commit: 60 ms of one core, because evidence queries wait for it. */
export const ACCESS_LOG_COMMIT_ROWS = 20_000;

/** Attempts to fetch one plan version, and the pause between them; then its entries count as unreadable. */
export const PLAN_TRIES_MAX = 5;
export const PLAN_RETRY_MS = 200;

/** Compiled plan versions in the cache: one per ramp or apply while a request may still name it. */
export const PLAN_CACHE_MAX = 200;

/** Pseudonyms in memory (about 30 MB), and exposures that wait until they are final. */
export const UNIT_CACHE_MAX = 100_000;

/** Units of all Experiments whose last arm is cached, and the same number whose exposure is stored: 100 MB each when full. */
export const ARMS_KNOWN_MAX = 500_000;

/** Newest requests and decision records that a new process reads to restore the last arms: a few seconds. */
export const ARMS_RECALLED_ROWS = 2_000_000;

/** Outcome rows that wait for their commit; beyond it clients get 503 and retry. */
export const OUTCOMES_QUEUE_ROWS_MAX = 200_000;

/** Rows in one group commit of outcomes. */
export const OUTCOMES_COMMIT_ROWS = 50_000;

/** Longest Idempotency-Key: longer than UUIDs and content hashes. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 256;

/** How long an idempotency key is stored: above any client's retries. */
export const IDEMPOTENCY_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest request id of an outcome: longer than UUIDs and trace ids. */
export const REQUEST_ID_CHARS_MAX = 256;

/**
 * Retention beyond the longest window and settling time: for threshold freezing, outcomes that wait for their exposure,
 * slow clocks.
 */
export const EVENTS_MARGIN_MS = 60 * 60 * 1000;

/** Longest further retention while a running Experiment is not evaluated or has a threshold to freeze. */
export const EVENTS_HELD_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Newest requests of a Service, or outcomes of a Metric, that are kept to freeze a threshold or a cap. Each evaluation
 * sorts them in about a second; a p99.9 needs 50,000.
 */
export const FREEZING_ROWS_MAX = 1_000_000;

/** Units that are closed at once: with ten metrics they take 100 MiB of memory. */
export const CLOSING_UNITS = 131_072;

/** Overlap of a query for newer outcomes: a row has its arrival time and is visible only after its commit. */
export const NEWEST_OUTCOME_SLACK_MS = 10 * 60 * 1000;

/** How often ingest prunes and refreshes its gauges. */
export const EVENTS_MAINTENANCE_MS = 10_000;

/** Memory of the event store's engine; beyond it DuckDB spills to its temporary folder. */
export const EVENTS_MEMORY_MB = 1_024;

/** How long metric declarations are cached. */
export const METRICS_CACHE_MS = 1_000;

/** Timeout of one aggregate query to ingest. */
export const EVIDENCE_TIMEOUT_MS = 10_000;

/** Body of one aggregate query: a few hundred metrics. */
export const EVIDENCE_BODY_BYTES_MAX = 256 * 1024;

/**
 * Greatest age of a request's start when its log entry arrives: a month, because a stream may be that long. It rejects
 * clocks that were never set (1970, 2000), which would close a unit at once.
 */
export const ENTRY_AGE_MAX_MS = 31 * 24 * 60 * 60 * 1000;

/** How far Envoy's clock may be ahead of ingest's: a local time that is read as UTC is ahead by up to 14 hours. */
export const ENTRY_AHEAD_MAX_MS = 24 * 60 * 60 * 1000;

/** Flow-control window of Envoy's access log, per stream and per connection (one for each worker). */
export const ACCESS_LOG_WINDOW_BYTES = 4 * 1024 * 1024;

/** Largest access-log message: Envoy sends from ACCESS_LOG_BUFFER_BYTES on, and an entry has at most 60 KiB. */
export const ACCESS_LOG_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Streams on one connection: an Envoy has a connection per worker and a stream on it per Gateway; for more it opens
 * another.
 */
export const ACCESS_LOG_STREAMS_MAX = 64;

/** Log entries that Envoy buffers per worker while its socket is full: a burst of its event loop, at 60 KiB an entry. */
export const ACCESS_LOG_UNSENT_BYTES = 16 * 1024 * 1024;

/**
 * Log entries that a worker buffers before it sends them, also while it connects. With Envoy's default of 16 KiB it
 * dropped entries of a burst on a new connection. Below ACCESS_LOG_MESSAGE_BYTES_MAX.
 */
export const ACCESS_LOG_BUFFER_BYTES = 2 * 1024 * 1024;

/** How often Envoy's counter of dropped entries is read: before the affected units are closed. */
export const DROPPED_CHECK_MS = 1_000;

/** How long after a drop older entries may still arrive: a worker's buffer (32 MiB) at low speed. */
export const DROPPED_BACKLOG_MS = 10_000;

/** How often Envoy logs an open request whose unit is set by a filter: its exposure is known only then. */
export const ACCESS_LOG_PERIODIC_MS = 1_000;

/**
 * How long an exposure may be revoked after its first log entry. On an open Service the start of a request makes it, and
 * a refusal by access rules or rate limits is logged one flush later.
 */
export const EXPOSURE_SETTLES_MS = 1_000;

/** Requests that began within this time before ingest's outage may have ended in it; older open ones have failed. */
export const IN_PROGRESS_MS = 60_000;

/** Ended requests that `weir why` can explain: minutes of a busy Gateway, hours of a quiet one. */
export const RECENT_REQUESTS_MAX = 20_000;

/** Memory of their access-log entries: RECENT_REQUESTS_MAX of 1.6 KB, twice the usual size; then the oldest are dropped. */
export const RECENT_REQUESTS_BYTES_MAX = 32 * 1024 * 1024;

/** Requests of late units that have a stored row until they end, and starts of requests that are not forwarded yet. */
export const OPENED_REQUESTS_MAX = 100_000;

/** Decision records that wait for the store; beyond it new ones are dropped and counted. */
export const DECISION_QUEUE_MAX = 20_000;

/** Longest time before a decision record is committed. */
export const DECISION_COMMIT_MS = 500;

/**
 * How often the store records that the decision log is complete, if nothing else is committed. After a restart a gap
 * begins there.
 */
export const DECISIONS_COMPLETE_MS = 5_000;

/** How often ingest logs failing commits, which it retries twice a second. */
export const COMMIT_FAULTS_LOGGED_MS = 60_000;

/** How long a failed commit raises the alarm: longer than the pause before it is retried. */
export const COMMIT_FAULT_ALARM_MS = 15_000;

/**
 * Added to both ends of a gap. Envoy writes entries every 200 ms, also into a connection that is not yet open, for which
 * it waits a second. Entries that it wrote are lost (1.36.2 and 1.40.0: the first lost one had ended 210 ms before
 * ingest was killed).
 */
export const GAP_MARGIN_MS = 1_000;

/** Losses this far apart are two gaps; a continuing gap is recorded at the second interval. */
export const GAP_OVER_MS = 5_000;
export const GAP_RECORDED_MS = 60_000;

/** Envoys and Gateways that have separate gaps. */
export const GAP_ENVOYS_MAX = 4_096;

/**
 * A stream that is reset within this time before its connection ends belongs to a stopping Envoy; otherwise its listener
 * was replaced.
 */
export const STREAM_ENDING_MS = 1_000;

/** How often Envoy's connection is checked with a PING. When it breaks, the reported gap begins that much earlier. */
export const ENVOY_PING_MS = 2_000;

/** A remote Envoy that has not answered for this time is down or unreachable. */
export const ENVOY_SILENT_MS = 10_000;

/** Longest time to detect an unreachable Envoy; until then the decision log is not reported as complete. */
export const ENVOY_NOTICED_MS = ENVOY_SILENT_MS + 2 * ENVOY_PING_MS;

/** How often the remote Envoy sends a PING, and how long it waits for the answer. */
export const ENVOY_ASKS_MS = 10_000;

/** How often `weir envoy` on another machine reports to ingest, its timeout, and its pause after a refusal. */
export const AGENT_REPORT_MS = 1_000;
export const AGENT_ANSWER_MS = 4_000;
export const AGENT_REFUSED_MS = 5_000;

/**
 * How long a stopping Envoy waits for its agent's final report: less, with ENVOY_FINAL_FLUSH_TRIES, than the stop timeout
 * of `weir up`.
 */
export const AGENT_FINAL_REPORT_MS = 1_500;

/** Connect timeout of a remote Envoy to the access log. Entries that it has written to that connection are then lost. */
export const ACCESS_LOG_CONNECT_MS = 5_000;

/** Size of one report of `weir envoy`, and the greatest age of what it reports: a month. */
export const AGENT_REPORT_BYTES_MAX = 4_096;
export const AGENT_REPORT_AGE_MAX_MS = 31 * 24 * 60 * 60 * 1000;

/** Retention of decision records, by age and by number (about 200 bytes each on disk); the oldest are dropped first. */
export const DECISIONS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
export const DECISIONS_ROWS_MAX = 1_000_000;

/** Longest path, method or name in a decision record: long enough to recognise, too short for a payload. */
export const DECISION_TEXT_CHARS_MAX = 512;

/** Decision records in one response. */
export const DECISIONS_ANSWER_MAX = 1_000;

/** Waiting evidence queries of operators; the same number for the decision log. */
export const QUERIES_WAITING_MAX = 64;

/** Names of the namespaces that a reader of the decision log has roles in, as the API sends them: 8,000 of the longest. */
export const NAMESPACES_HEADER_BYTES_MAX = 512 * 1024;

/**
 * Label sets (policy, caller, method, path) of shadow policy counts between two commits; the rest is counted by policy
 * only.
 */
export const SHADOW_KEYS_MAX = 2_000;

/** Gateways with a count of tokens with unknown keys; control has tens. */
export const UNKNOWN_KEY_GATEWAYS_MAX = 1_000;

/** How long the sidecar alarm continues after the last failed request. */
export const CALLOUT_FAULT_ALARM_MS = 60_000;

/**
 * Experiments whose last evaluation is cached, some 10 KB each. With fewer than all, evaluation in turn would never hit
 * the cache.
 */
export const LOOKS_KEPT_MAX = RESOURCES_MAX;

/** Latency thresholds whose slow shares are in one observation: it has that many columns. */
export const THRESHOLDS_TOGETHER = 4;

/** Quantiles in one query of a sample; a grid of thresholds has 20. */
export const QUANTILES_ASKED_MAX = 64;
