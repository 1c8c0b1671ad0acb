/** Bounds of ingest: the access log, outcomes, aggregates, the decision log. */
import { RESOURCES_MAX } from "./state.js";

/** POST body of outcomes: 10,000 rows of about 400 bytes. */
export const OUTCOMES_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Rows in one outcomes request. */
export const OUTCOMES_ROWS_MAX = 10_000;

/** How often the log and the decision log tell of one sender that is refused, with how many times it was. */
export const SENDERS_TOLD_MS = 60_000;

/**
 * Largest outcome, either way: seven digits beyond 10^23 (a mole). Analysis multiplies four units' values and two counts
 * (delta method, CUPED): of sums of 10^9 outcomes each and 10^12 units that is 10^180, far below what a double holds
 * (10^308), and the sixth power of 10^258 still is. Of 10^100 the fourth power is none.
 */
export const OUTCOME_VALUE_MAX = 1e30;

/** How far in the future an outcome's time may lie: clock skew between hosts, nothing more. */
export const OUTCOME_CLOCK_SKEW_MS = 5_000;

/** Access-log entries waiting for the store; beyond it new ones are dropped and counted. */
export const ACCESS_LOG_QUEUE_MAX = 200_000;

/** How often Envoy flushes its access-log buffer to ingest; evidence waits two of these (see settle). */
export const ACCESS_LOG_FLUSH_MS = 200;

/**
 * How long an Envoy that Weir stops may write its access log after it takes no more: two flushes, and its admin's answers; so
 * often it is asked whether requests came or are under way still.
 */
export const ENVOY_LAST_WORDS_MS = 500;
export const ENVOY_LAST_WORDS_TRIES = 3;

/** How long ingest's end waits for requests under way at its HTTP doors: less than what it is given to end (CLOSE_MS). */
export const EVENTS_DRAIN_MS = 1_000;

/** Longest wait of a stored access-log entry for its commit; an evidence query commits at once, so this only spares commits. */
export const ACCESS_LOG_COMMIT_MS = 500;

/** Access-log entries in one commit: about 60 ms of one core, so that an evidence query never waits long behind one. */
export const ACCESS_LOG_COMMIT_ROWS = 20_000;

/** Tries of the plan's owner for one plan version, and the pause before the next one; then its entries count as unreadable. */
export const PLAN_TRIES_MAX = 5;
export const PLAN_RETRY_MS = 200;

/** Plan versions held compiled: one per ramp or apply while a request may still name it. */
export const PLAN_CACHE_MAX = 200;

/** Pseudonyms remembered in memory (about 30 MB), and exposures that wait until they stand. */
export const UNIT_CACHE_MAX = 100_000;

/**
 * Units whose last arm is known, of all Experiments together, and as many again whose exposure is known to be stored: some 100 MB
 * each when full.
 */
export const ARMS_KNOWN_MAX = 500_000;

/** Newest requests, and newest decision records, that a new process reads for the arms that units had last: some seconds' work. */
export const ARMS_RECALLED_ROWS = 2_000_000;

/** Outcome rows waiting for their commit: beyond it callers get 503 and try again. */
export const OUTCOMES_QUEUE_ROWS_MAX = 200_000;

/** Rows in one group commit of outcomes. */
export const OUTCOMES_COMMIT_ROWS = 50_000;

/** Longest Idempotency-Key: UUIDs and content hashes fit many times. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 256;

/** How long an idempotency key is remembered: above any client's retries. */
export const IDEMPOTENCY_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest request id of an outcome: UUIDs and trace ids fit many times. */
export const REQUEST_ID_CHARS_MAX = 256;

/** Kept beyond the longest window and settling time: threshold freezing, outcomes that wait for their exposure, slow clocks. */
export const EVENTS_MARGIN_MS = 60 * 60 * 1000;

/** Kept for that long besides, at most, while an Experiment under way is not looked at or has something to be frozen. */
export const EVENTS_HELD_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * Requests of a Service, or outcomes of a Metric with the starts of requests that they name, that are held for freezing a threshold
 * or a cap, the newest: each look at it sorts them all, about a second. More say no more: a p99.9 needs 50,000.
 */
export const FREEZING_ROWS_MAX = 1_000_000;

/** Units that are closed at once: so many times the number of metrics are held in memory, about 100 MiB for ten of them. */
export const CLOSING_UNITS = 131_072;

/** How far back a look for newer outcomes goes behind the last one: rows are dated when they come and seen once committed. */
export const NEWEST_OUTCOME_SLACK_MS = 10 * 60 * 1000;

/** How often ingest prunes and refreshes its gauges. */
export const EVENTS_MAINTENANCE_MS = 10_000;

/** Memory of the event store's engine; beyond it DuckDB spills to its temporary folder. */
export const EVENTS_MEMORY_MB = 1_024;

/** How long metric declarations are believed before control is asked again. */
export const METRICS_CACHE_MS = 1_000;

/** One aggregate query to ingest; then it counts as dead. */
export const EVIDENCE_TIMEOUT_MS = 10_000;

/** Body of one aggregate query: a few hundred metrics. */
export const EVIDENCE_BODY_BYTES_MAX = 256 * 1024;

/**
 * How long before it is heard of a request may have begun. A stream lives as long as something is sent (there is no bound but
 * idle ones), its Envoy tells of it every second or at its end, and a true one that was taken for broken would hold every decision:
 * so a month. What it keeps out is the clock that was never set (1970, 2000), by which a unit would be closed at once.
 */
export const ENTRY_AGE_MAX_MS = 31 * 24 * 60 * 60 * 1000;

/** How far Envoy's clock may be ahead of ingest's: a local time that was taken for UTC is by 14 hours. */
export const ENTRY_AHEAD_MAX_MS = 24 * 60 * 60 * 1000;

/** What Envoy may send of its access log, by stream and by connection (one for each worker), before ingest has read it. */
export const ACCESS_LOG_WINDOW_BYTES = 4 * 1024 * 1024;

/** Envoy sends what it has collected from ACCESS_LOG_BUFFER_BYTES on, and an entry has some 60 KiB at the most. */
export const ACCESS_LOG_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** On one connection: an Envoy has one for each worker and a stream on it for each Gateway; for more it opens another. */
export const ACCESS_LOG_STREAMS_MAX = 64;

/** What Envoy keeps besides of a log that its socket does not take, for each worker: a burst of its loop, by 60 KiB an entry. */
export const ACCESS_LOG_UNSENT_BYTES = 16 * 1024 * 1024;

/**
 * What a worker collects of its log before it sends that at once, and keeps where its connection takes no more or is being made:
 * by Envoy's 16 KiB it dropped entries of a burst that met a new connection. Below ACCESS_LOG_MESSAGE_BYTES_MAX.
 */
export const ACCESS_LOG_BUFFER_BYTES = 2 * 1024 * 1024;

/** How often Envoy is asked whether it dropped entries: before the units that these may be about are closed. */
export const DROPPED_LOOK_MS = 1_000;

/** For how long after some were dropped what is heard may be of then: what a worker holds (32 MiB) at a slow pace. */
export const DROPPED_BACKLOG_MS = 10_000;

/** How often Envoy logs a request that is still open, where a filter makes the unit: its exposure is known only then. */
export const ACCESS_LOG_PERIODIC_MS = 1_000;

/**
 * How long an exposure may be taken back, since its request was heard of. On an open Service, where a request's start makes it:
 * the gate and the limits refuse at once, their entries come a flush later; and a slow machine.
 */
export const EXPOSURE_SETTLES_MS = 1_000;

/** What began so shortly before ingest was away may have ended meanwhile; what is open for longer has failed. */
export const UNDER_WAY_MS = 60_000;

/** Ended requests that ingest can still tell all about (`weir why`): some minutes of a busy Gateway, hours of a quiet one. */
export const RECENT_REQUESTS_MAX = 20_000;

/** Memory of their access-log entries: RECENT_REQUESTS_MAX of 1.6 KB, twice the usual size; longer ones leave earlier. */
export const RECENT_REQUESTS_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Requests of late units remembered as stored, with a row each until they end, and starts remembered until
 * their requests are sent on.
 */
export const OPENED_REQUESTS_MAX = 100_000;

/** Decision records waiting for the store; beyond it new ones are dropped and counted. */
export const DECISION_QUEUE_MAX = 20_000;

/** Longest wait of a decision record for its commit. */
export const DECISION_COMMIT_MS = 500;

/** How often the store is told that the decision log is whole, where nothing else is committed: a restart is told to that. */
export const DECISIONS_WHOLE_MS = 5_000;

/** How often ingest's log says that commits fail: they are tried twice a second. */
export const COMMIT_FAULTS_TOLD_MS = 60_000;

/** How long a failed commit is an alarm: what waits is tried again sooner, and outcomes are tried by who sends them. */
export const COMMIT_FAULT_STANDS_MS = 15_000;

/**
 * Added to both ends of a gap. Envoy writes entries every 200 ms, into a connection that is being made too, for which it waits a
 * second; it keeps none that it wrote (seen on 1.36.2 and 1.40.0: the first one missing had ended 210 ms before ingest was
 * killed, the last one before it listened again).
 */
export const GAP_MARGIN_MS = 1_000;

/** Losses this far apart are two gaps; while one lasts, it is recorded this often. */
export const GAP_OVER_MS = 5_000;
export const GAP_RECORDED_MS = 60_000;

/** Envoys and Gateways that have gaps of their own at once. */
export const GAP_ENVOYS_MAX = 4_096;

/** A stream that is reset this long before its connection ends is that of an Envoy which ends; else its listener was replaced. */
export const STREAM_ENDING_MS = 1_000;

/** How often an Envoy's connection is asked for a sign of life: what is told as missing when it breaks begins so much early. */
export const ENVOY_PING_MS = 2_000;

/** An Envoy of another machine that has not answered for so long is gone, or the network between. */
export const ENVOY_SILENT_MS = 10_000;

/** When it is noticed at the latest that an Envoy cannot be reached: so long the decision log is not called whole. */
export const ENVOY_NOTICED_MS = ENVOY_SILENT_MS + 2 * ENVOY_PING_MS;

/** How often that Envoy sends a PING in turn, and how long it waits for the answer. */
export const ENVOY_ASKS_MS = 10_000;

/** How often `weir envoy` on another machine reports to ingest, how long it waits, and how often while ingest refuses it. */
export const KEEPER_BEAT_MS = 1_000;
export const KEEPER_ANSWER_MS = 4_000;
export const KEEPER_REFUSED_MS = 5_000;

/** How long an Envoy's end waits for what its keeper says last: with ENVOY_LAST_WORDS_TRIES below what `weir up` gives it to end. */
export const KEEPER_LAST_WORD_MS = 1_500;

/** How long an Envoy of another machine waits for a connection to the access log: what it has written to it is lost then. */
export const ACCESS_LOG_CONNECT_MS = 5_000;

/** Bytes of one report of `weir envoy`, and how long ago what it reports may be: a month. */
export const KEEPER_REPORT_BYTES_MAX = 4_096;
export const KEEPER_AGO_MAX_MS = 31 * 24 * 60 * 60 * 1000;

/**
 * Decision records kept: their time, and their number (about 200 bytes each on disk) under a flood of denials:
 * beyond it the oldest go first.
 */
export const DECISIONS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
export const DECISIONS_ROWS_MAX = 1_000_000;

/** Longest path, method or name in a decision record: enough to know it again, too little to carry a payload. */
export const DECISION_TEXT_CHARS_MAX = 512;

/** Decision records in one answer. */
export const DECISIONS_ANSWER_MAX = 1_000;

/** People's queries for evidence that wait, and for the decision log as many. */
export const QUERIES_WAITING_MAX = 64;

/** Names of namespaces that a reader of the decision log has roles in, as the API tells ingest: 8,000 of the longest. */
export const NAMESPACES_HEADER_BYTES_MAX = 512 * 1024;

/** Kinds of requests (policy, caller, method, path) that shadow policies are counted by between two commits; the rest by policy alone. */
export const SHADOW_KEYS_MAX = 2_000;

/** Gateways that tokens with unknown keys are counted for; control has tens. */
export const UNKNOWN_KEY_GATEWAYS_MAX = 1_000;

/** How long after the last request that the sidecar failed the alarm stands; access-log entries come within a second. */
export const CALLOUT_FAULT_TOLD_MS = 60_000;

/**
 * Experiments whose last look is kept in ingest's memory, some ten kilobytes each: as many as there can be. With fewer, of all that
 * are looked at in turn each is looked at wholly again, every time.
 */
export const LOOKS_KEPT_MAX = RESOURCES_MAX;

/** Thresholds of latency whose shares of slow requests are one observation: the variables that it has columns for. */
export const THRESHOLDS_TOGETHER = 4;

/** Quantiles of one sample that are asked for at once; a grid of thresholds has 20. */
export const QUANTILES_ASKED_MAX = 64;
