/**
 * Metrics port of ingest, implemented by telemetry (Prometheus). Values and labels never hold a unit, a request id or
 * a payload.
 */
import { HANDSHAKES_REFUSED } from "../../trust/tls/handshake.js";

export type Labels = Readonly<Record<string, string>>;

export interface Meter {
	/** Adds `by` (default 1) to a counter, created on first use. */
	count(name: string, help: string, labels?: Labels, by?: number): void;
	/** Sets a gauge, created on first use. */
	gauge(name: string, help: string, value: number, labels?: Labels): void;
	/** Adds one observation to a histogram, created on first use; in seconds if the name ends in `_seconds`. */
	observe(name: string, help: string, value: number, labels?: Labels): void;
}

/** Writes one log line; `fields` never hold raw ids. */
export interface Log {
	info(message: string, fields?: Labels): void;
	warn(message: string, fields?: Labels): void;
	error(message: string, fields?: Labels): void;
}

/** All metric names, in one place for the metrics page. */
export const COUNTERS = {
	entries: {
		name: "weir_ingest_access_log_entries_total",
		help: "Access-log entries by what became of them: stored, ignored, foreign (not a Weir route), unreadable (or of impossible numbers), dropped, undelivered (dropped by Envoy).",
	},
	exposures: { name: "weir_ingest_exposures_total", help: "Units exposed for the first time, by experiment and arm." },
	conflicts: {
		name: "weir_ingest_conflicting_units_total",
		help: "Units seen in two arms of one experiment and left out of it. Anything above 0 is an alarm.",
	},
	contradictions: {
		name: "weir_ingest_sidecar_contradictions_total",
		help: "Entries left out because the sidecar's assignment is not the plan's, by Service. Anything above 0 is an alarm.",
	},
	outcomes: {
		name: "weir_ingest_outcomes_total",
		help: "Outcome rows by what became of them: accepted, replayed (idempotency key), or the code of the refusal.",
	},
	commits: { name: "weir_ingest_commits_total", help: "Committed transactions of the event store, by kind." },
	decisions: {
		name: "weir_ingest_decision_records_total",
		help: "Access records by kind and by what became of them: stored, dropped (the queue was full).",
	},
	probes: {
		name: "weir_ingest_probes_refused_total",
		help: "Requests of the built-in probe that were refused, as they must be, by who refused. They are not recorded.",
	},
	shadows: {
		name: "weir_ingest_shadow_changes_total",
		help: "Requests whose verdict shadow policies would change, by change: would-deny, would-allow.",
	},
	calloutFaults: {
		name: "weir_ingest_callout_faults_total",
		help: "Requests refused for no fault of their callers, by Gateway and fault: unanswered (503: the sidecar gave no verdict), no-issuer-keys (401: it had no key of the token's issuer).",
	},
	streams: {
		name: "weir_ingest_refused_streams_total",
		help: "Access-log streams that were refused, by reason. Anything above 0 is an alarm: a client may forge evidence.",
	},
	handshakes: HANDSHAKES_REFUSED,
	senders: {
		name: "weir_ingest_refused_outcomes_total",
		help: "Outcome rows refused because their sender may not post the metric, by reason. Above 0 is an alarm.",
	},
	logFullDrops: {
		name: "weir_ingest_decisions_dropped_total",
		help: "Access records and shadow counts that were dropped early because the log was full, by table. weir audit requests shows since when it is complete.",
	},
	pruned: { name: "weir_ingest_pruned_rows_total", help: "Rows past their retention that were removed, by table." },
} as const;

export const GAUGES = {
	calloutFault: {
		name: "weir_ingest_callout_fault_seconds",
		help: "When such a request was last refused (weir_ingest_callout_faults_total), in epoch seconds, by Gateway and fault.",
	},
	queue: { name: "weir_ingest_queue_entries", help: "Access-log entries waiting for the store or for their plan." },
	dropping: {
		name: "weir_ingest_decisions_dropping",
		help: "1 while access records are dropped although the log is not full: the queue is full (a full disk), or they cannot be made or held.",
	},
	commitFailed: {
		name: "weir_ingest_commit_failed_seconds",
		help: "When a commit of the event store last failed where none has succeeded since, in epoch seconds, else 0, by what it was of and by reason: disk-full, other.",
	},
	rows: { name: "weir_ingest_rows", help: "Rows in the event store, by table." },
} as const;

export const HISTOGRAMS = {
	commit: {
		name: "weir_ingest_commit_seconds",
		help: "Time from the first queued row to its durable commit, by kind.",
	},
	evidence: { name: "weir_ingest_evidence_seconds", help: "Time to answer an evidence query, closing included." },
} as const;
