/** The JSON bodies of the public API, shared by the door and the client. */
import type { ShadowGap } from "../../compile/table/shadow.js";
import type { Closure } from "../../decide/rollout/closedServices.js";
import type { Action, Decision, Rule } from "../../decide/rollout/decision.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import type { UnansweredTable } from "../../decide/rollout/unansweredTables.js";
import type { Resource } from "../../declare/resources/resource.js";
import type { ApprovalRequest, Operation } from "../approvals/request.js";
import { mostNeeded } from "../approvals/required.js";
import type { ApplyResult } from "../state/acts/applyPlan.js";
import type { Difference } from "../state/difference.js";
import type { HistoryEntry } from "../state/history/change.js";

export interface LastDecision {
	readonly sequence: number;
	readonly atMs: number;
	readonly by: string;
	readonly action: Action;
	readonly rule: Rule;
	readonly reason: string;
	/** In plain words. */
	readonly summary?: string;
	/** ln of the e-value for its goal then, see goalLogE(). */
	readonly goalLogE: number | null;
	readonly expectedMs: number | null;
	readonly acknowledgedAtMs: number | null;
}

/** What is wrong at a Gateway now: the bypass probe, the keys of its issuers, its sidecar, or that no client can connect. */
export interface GatewayAlarm {
	/** Qualified name; empty = it is of none, and for who may read in all namespaces. */
	readonly gateway: string;
	/** Such as PROBE_FAILED, NO_KEYS or KEYS_NOTE. */
	readonly alarm: string;
	readonly why: string | null;
	/** Of the bypass probe: `node.id` of the Envoy. */
	readonly envoy?: string;
}

/** Alarm of an issuer of which xds has no key, so that Envoy verifies no token of it. */
export const NO_KEYS = "no-issuer-keys";
/** Alarm of a Gateway at which tokens are refused as the sidecar has no key of their issuer. */
export const NO_SIDECAR_KEYS = "no-sidecar-keys";
/** Alarm of a Gateway at which requests get 503 as the sidecar gives no verdict. */
export const UNANSWERED = "verdicts-unanswered";
/** Alarm of a Gateway with the mesh's identity at which nobody can connect. */
export const NO_CLIENTS = "no-clients";
/** Alarm of a trusted proxy that can never connect. */
export const PROXY_REFUSED = "trusted-proxy-refused";
/** Alarm of a plan that is in force and is on no disk. */
export const PLAN_UNKEPT = "plan-unkept";
/** Alarm of a state file that cannot be written. */
export const STATE_UNWRITTEN = "state-unwritten";
/** Alarm of an event store that cannot be written. */
export const EVENTS_UNWRITTEN = "events-unwritten";
/** Alarm of a part of Weir that gets no new SVID of its agent. */
export const IDENTITY_UNRENEWED = "identity-unrenewed";
/** Of an issuer whose keys are not all as they should be: `why` says it, and it is none. */
export const KEYS_NOTE = "issuer-keys-note";
/** Alarm of an Envoy at which the bypass probe failed, or that has not reported it. */
export const PROBE_FAILED = "probe-failed";

/** Of an answer that holds what the caller may read, and no more. */
export interface Partly {
	/** There may be more in namespaces that they may not read. Absent: it is all. */
	readonly partial?: true;
}

/** GET /v1/resources */
export interface ResourcesAnswer extends Partly {
	readonly revision: number;
	/** The last one that changed a resource, whoever may read it; 0 = nothing was ever declared. */
	readonly declaredRevision: number;
	/** The last such one that a start of `weir up` with files had taken into account; null = none has. */
	readonly startRevision: number | null;
	readonly resources: readonly Resource[];
}

/** GET /v1/diff */
export interface DiffAnswer extends Partly, Difference {}

/** GET /v1/status */
export interface StatusAnswer extends Partly {
	readonly revision: number;
	/** Where Envoys are given an older revision for too long: a sentence about it. */
	readonly lag: string | null;
	/** Sidecars that have not taken their newest table for too long. */
	readonly untaken?: readonly UnansweredTable[];
	/** What Envoys and sidecars refuse of what is published; whose and why is for those who may read that namespace. */
	readonly refusals: readonly Refusal[];
	/** Services that an Envoy refuses and answers 503 for, of namespaces that the caller may read. */
	readonly closed: readonly Closure[];
	/** Resources that have no effect any more, in namespaces that the caller may read. */
	readonly faults?: readonly { readonly resource: string; readonly words: string }[];
	/**
	 * Of Gateways in namespaces that the caller may read, and of control itself; null = who would know those of Gateways does
	 * not answer.
	 */
	readonly alarms: readonly GatewayAlarm[] | null;
	/** Where `alarms` is null: those that are known all the same, of control itself above all. */
	readonly knownAlarms?: readonly GatewayAlarm[];
	readonly experiments: readonly {
		/** Qualified name. */
		readonly experiment: string;
		readonly service: string;
		readonly status: ExperimentStatus;
		readonly last: LastDecision | null;
	}[];
	readonly services: readonly {
		readonly service: string;
		readonly declaredDefaultVariant: string;
		readonly liveDefaultVariant: string;
	}[];
}

/** Status 202: an ApprovalPolicy wants a second person first (`weir approve ID`). */
export interface PendingAnswer {
	readonly outcome: "pending";
	readonly request: RequestAnswer;
}

/** GET /v1/approvals */
export interface RequestsAnswer extends Partly {
	readonly requests: readonly RequestAnswer[];
}

/** GET /v1/approvals and /v1/approvals/ID */
export interface RequestAnswer
	extends Omit<ApprovalRequest, "askedBy" | "approvals" | "fingerprints" | "question" | "bytes"> {
	readonly askedBy: string;
	readonly approvals: readonly { readonly by: string; readonly atMs: number }[];
	/** Approvals that it needs: the most that one namespace wants. */
	readonly needs: number;
	/** The exact content, by id while it waits; else null. */
	readonly operation: Operation | null;
}

export function requestAnswer(request: ApprovalRequest & { readonly operation?: Operation | null }): RequestAnswer {
	const { askedBy, approvals, operation = null, fingerprints: _, question: __, bytes: ___, ...rest } = request;
	return {
		...rest,
		askedBy: askedBy.subject,
		approvals: approvals.map(({ by, atMs }) => ({ by: by.subject, atMs })),
		needs: mostNeeded(request),
		operation,
	};
}

/** GET /v1/history: changes of the declaration, newest first. */
export interface HistoryAnswer extends Partly {
	readonly changes: readonly HistoryEntry[];
	/** The oldest revision that a rollback can go back to. */
	readonly keptFrom: number;
}

/** GET /v1/policies/shadow-gaps: what is not told of shadow policies, since Envoy cannot try them all. */
export interface ShadowGapsAnswer {
	readonly gaps: readonly ShadowGap[];
}

/**
 * POST /v1/resources, /v1/deletions and /v1/rollback, and DELETE: what changed, or every problem (status 400),
 * or that it waits for approval.
 */
export type ApplyAnswer =
	| PendingAnswer
	| (Extract<ApplyResult, { readonly outcome: "applied" }> & {
			/** What is not told of shadow policies that it is about; absent: nothing, or it was a dry run. */
			readonly shadowGaps?: readonly ShadowGap[];
	  })
	| Extract<ApplyResult, { readonly outcome: "refused" }>;

/** POST /v1/experiments/NAME/VERB: the decision, or that it waits for approval. */
export type ActAnswer =
	| PendingAnswer
	| { readonly outcome: "done"; readonly revision: number; readonly decision: Decision };
