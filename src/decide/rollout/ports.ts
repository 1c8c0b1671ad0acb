/** Interfaces of the rollout loop. The state store and ingest implement them; the cli connects them. */

import type { PlanTable } from "../../compile/plan/compiledPlan.js";
import type { Gate, ResourceSet } from "../../declare/resources/resource.js";
import type { BaselineQuantile, Evidence, EvidenceMetric, EvidenceQuery } from "../../infer/statistics/evidence.js";
import type { Decision, DecisionInput, Outcome } from "./decision.js";
import type { GateQuestion } from "./gate.js";
import type { Status } from "./status.js";

/** Implemented by ingest, over a UNIX socket. Throws WeirError `unavailable` if ingest does not run. */
export interface EvidenceSource {
	evidence(query: EvidenceQuery): Promise<Evidence>;
	/**
	 * Latency quantile of the default Variant before `untilMs`; null = no requests. With `valuesOf` the quantile of an outcome
	 * metric's values in the experiment, over all arms, for units whose windows have closed.
	 */
	baselineQuantile(query: {
		readonly experiment: string;
		readonly service: string;
		readonly quantile: number;
		readonly sinceMs: number;
		readonly untilMs: number;
		readonly valuesOf?: EvidenceMetric;
		/** More quantiles of the same requests; not with `valuesOf`. */
		readonly others?: readonly number[];
	}): Promise<BaselineQuantile | null>;
}

/** The revision increases by one with each change of resources or status; 0 = the empty store. */
export interface State {
	readonly revision: number;
	readonly resources: ResourceSet;
	readonly status: Status;
	/** Qualified names of Services that some Envoy rejected and answers 503 for; absent = none. */
	readonly closed?: readonly string[];
}

/** Desired state and status; implemented by control's Store. */
export interface StateStore {
	/** Resolves when the revision is above `after`; null after `waitMs`. */
	state(after: number, waitMs: number): Promise<State | null>;
	/**
	 * Stores a decision and its status in one transaction. Fails with `conflict` if the revision is not `expectedRevision`: the
	 * decision must be made again from the current state.
	 */
	decide(request: {
		readonly experiment: string;
		readonly expectedRevision: number;
		readonly by: string;
		readonly atMs: number;
		readonly input: DecisionInput | null;
		readonly outcome: Outcome;
	}): Promise<{ readonly revision: number; readonly decision: Decision }>;
	/**
	 * Stores the table of a plan, to read access logs, and for a restarted control to know what Envoys have. Fails with
	 * `unavailable` if the disk write fails; the table is readable anyway, and may be stored again.
	 */
	keepPlan(version: string, table: PlanTable): Promise<void>;
	plan(version: string): Promise<PlanTable | null>;
	/**
	 * All connected Envoys serve the plan of this revision. Acknowledges its decisions, except those of `closed` Services
	 * (qualified names). May be called again when fewer Services are closed.
	 */
	acknowledge(revision: number, atMs: number, closed?: readonly string[]): Promise<void>;
	/**
	 * Replaces the last report about connected Envoys, for `weir proxy-status` and for the publisher after a restart.
	 */
	reportProxies(proxies: readonly ProxyStatus[]): Promise<void>;
}

/** A gate's answer. `why`: one line without the URL's path or secrets. `status`: of HTTP; absent = no answer. */
export type WebhookAnswer =
	| { readonly ok: true }
	| {
			readonly ok: false;
			readonly why: string;
			readonly status?: number;
			/** Why there was no answer, e.g. ECONNREFUSED. Only for control's own log. */
			readonly cause?: string;
	  };

/** Sends a question to a gate. Only a 2xx approves; no answer is a rejection. The promise never rejects. */
export type Webhook = (gate: Gate, question: GateQuestion) => Promise<WebhookAnswer>;

/** An undelivered rollback notification to a gate. */
export interface PendingNotification {
	/** For `message` and `delivered`. */
	readonly key: string;
	/** Qualified name. */
	readonly experiment: string;
}

export interface NotificationMessage {
	readonly gate: Gate;
	readonly question: GateQuestion;
}

/** Durable: written in the transaction of the rollback, removed on delivery. */
export interface Outbox {
	/** All entries without their messages, which can be megabytes for each namespace. */
	pending(): Promise<readonly PendingNotification[]>;
	/** null = delivered, or dropped. */
	message(key: string): Promise<NotificationMessage | null>;
	delivered(key: string): Promise<void>;
}

/** Injected time. */
export interface Clock {
	nowMs(): number;
	/** Calls back once after `ms`; the result cancels it. */
	after(ms: number, callback: () => void): () => void;
}

/** A Service that answers 503 because an Envoy rejects its newest configuration, or a sidecar cannot execute it. */
export interface ClosedService {
	/** Qualified name. */
	readonly service: string;
	/** Hash of the rejected configuration; empty = unknown. */
	readonly form: string;
	/** The client's error message; may be empty. */
	readonly why: string;
	readonly sinceMs: number;
	/** Further clients that have closed it; absent = none, or each client has its own entry. */
	readonly others?: number;
}

export interface ProxyStatus {
	readonly node: string;
	readonly connectedAtMs: number;
	/** Newest revision fully acknowledged on this stream, except closed Services; null or absent = none yet. */
	readonly revision?: number | null;
	/** Services that are closed there; absent = none. */
	readonly closed?: readonly ClosedService[];
	/** By short type name (clusters, endpoints, extensions, listeners, routes). */
	readonly types: Readonly<
		Record<
			string,
			{
				readonly state: "SYNCED" | "NOT SENT" | "STALE" | "ERROR";
				readonly sentVersion: string;
				readonly acceptedVersion: string;
				/** Envoy's error detail of a NACK, else empty. */
				readonly error: string;
				/** Weir resource that the rejected Envoy resource came from, e.g. `Service employment`, else empty. */
				readonly source: string;
				/** Start of the current series of rejections; absent = none. */
				readonly refusedSinceMs?: number;
				/** Only for tables: time of the oldest unanswered table; absent = none. */
				readonly unansweredSinceMs?: number;
			}
		>
	>;
}
