/**
 * What the rollout loop needs from the rest of the house. The state and events rooms implement these; the cli
 * composes them, tests stand in for them.
 */

import type { PlanTable } from "../../compile/table/plan.js";
import type { Gate, ResourceSet } from "../../declare/resources/resource.js";
import type { BaselineQuantile, Evidence, EvidenceMetric, EvidenceQuery } from "../../infer/statistics/evidence.js";
import type { Decision, DecisionInput, Outcome } from "./decision.js";
import type { GateQuestion } from "./gate.js";
import type { Status } from "./status.js";

/** Aggregates by SQL; implemented by ingest, reached over a UNIX socket. Throws WeirError `unavailable` when its owner is dead. */
export interface EvidenceSource {
	evidence(query: EvidenceQuery): Promise<Evidence>;
	/**
	 * Latency quantile of the default Variant before `untilMs`; null while there is no request. With `valuesOf` that of the
	 * units' values of an outcome metric in the experiment, all arms together, of units whose windows have closed.
	 */
	baselineQuantile(query: {
		readonly experiment: string;
		readonly service: string;
		readonly quantile: number;
		readonly sinceMs: number;
		readonly untilMs: number;
		readonly valuesOf?: EvidenceMetric;
		/** Other quantiles of the same requests; not of values. */
		readonly others?: readonly number[];
	}): Promise<BaselineQuantile | null>;
}

/** The revision grows by one with every change of resources or status; revision 0 is the empty store. */
export interface State {
	readonly revision: number;
	readonly resources: ResourceSet;
	readonly status: Status;
	/** Services that some Envoy has refused and answers 503 for, by qualified name; left out = none. */
	readonly closed?: readonly string[];
}

/** Wishes and facts; implemented by the api role's transactional store. */
export interface StateStore {
	/** Resolves at once if the revision is above `after`, else when it is, or null after `waitMs`. */
	state(after: number, waitMs: number): Promise<State | null>;
	/**
	 * Stores a decision and the status after it in one transaction. Refused with `conflict` if the revision is no
	 * longer `expectedRevision`: the decision was made on an old picture and must be made again.
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
	 * Keeps the table of a plan, so that the access log can be read back, and that an xds that starts anew knows what Envoys have.
	 * Refused with `unavailable` where the disk does not take it: it is read all the same, and may be given again.
	 */
	keepPlan(version: string, table: PlanTable): Promise<void>;
	plan(version: string): Promise<PlanTable | null>;
	/**
	 * Every connected Envoy serves the plan of this revision: its decisions are acknowledged, but for those of Services
	 * that are closed somewhere (qualified names). May be told again of a revision when fewer are.
	 */
	acknowledge(revision: number, atMs: number, closed?: readonly string[]): Promise<void>;
	/**
	 * What xds knows of each connected Envoy, for `weir proxy-status`, and what it should know of those that come back
	 * after it was started again; replaces the former report.
	 */
	reportProxies(proxies: readonly ProxyStatus[]): Promise<void>;
}

/**
 * What a gate said. `why`: one line for a person, without the URL's path or anything secret. `status`: of HTTP; left out =
 * there was no answer.
 */
export type WebhookAnswer =
	| { readonly ok: true }
	| {
			readonly ok: false;
			readonly why: string;
			readonly status?: number;
			/** What kept the answer away, such as ECONNREFUSED: for control's own log, and told to nobody else. */
			readonly cause?: string;
	  };

/**
 * Sends one question to a gate and waits for its answer: only a 2xx is a yes. Never rejects: no answer is a no.
 */
export type Webhook = (gate: Gate, question: GateQuestion) => Promise<WebhookAnswer>;

/** That a gate has not been told of a rollback yet. */
export interface Untold {
	/** Names it in `message` and `told`. */
	readonly key: string;
	/** Qualified name. */
	readonly experiment: string;
}

export interface UntoldMessage {
	readonly gate: Gate;
	readonly question: GateQuestion;
}

/** Durable: written with the rollback itself, gone only when told. */
export interface Outbox {
	/** All of them, without their messages: with the findings of many arms these are megabytes for each namespace. */
	untold(): Promise<readonly Untold[]>;
	/** null = it is there no more: told, or given up. */
	message(key: string): Promise<UntoldMessage | null>;
	told(key: string): Promise<void>;
}

/** Time, injected: the rollout has no clock of its own. */
export interface Clock {
	nowMs(): number;
	/** Calls back once after `ms`; the returned function cancels it. */
	after(ms: number, callback: () => void): () => void;
}

/** A Service of which an Envoy refuses the newest configuration, or that a sidecar cannot execute: it answers 503 there. */
export interface ClosedService {
	/** Qualified name. */
	readonly service: string;
	/** Hash of the refused configuration; empty = not known. */
	readonly form: string;
	/** The client's own words; empty = none are told. */
	readonly why: string;
	readonly sinceMs: number;
	/** Further clients that have closed it; left out = none, or each is told of itself. */
	readonly others?: number;
}

export interface ProxyStatus {
	readonly node: string;
	readonly connectedAtMs: number;
	/** Newest revision that it acknowledged wholly on this stream, but for closed Services; null or left out = none yet. */
	readonly revision?: number | null;
	/** Services that are closed there; left out = none. */
	readonly closed?: readonly ClosedService[];
	/** By short type name (clusters, endpoints, extensions, listeners, routes). */
	readonly types: Readonly<
		Record<
			string,
			{
				readonly state: "SYNCED" | "NOT SENT" | "STALE" | "ERROR";
				readonly sentVersion: string;
				readonly acceptedVersion: string;
				/** Envoy's words for a NACK, else empty. */
				readonly error: string;
				/** Weir resource that the rejected Envoy resource came from, e.g. `Service employment`, else empty. */
				readonly source: string;
				/** Since when it has refused what is published, without a pause; left out = it does not. */
				readonly refusedSinceMs?: number;
				/** Of tables: since when the sidecar owes an answer to what it was sent; left out = it does not. */
				readonly unansweredSinceMs?: number;
			}
		>
	>;
}
