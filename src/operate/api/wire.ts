/** The JSON bodies of the public API, shared by the server and the client. */
import type { ShadowGap } from "../../compile/access/shadow.js";
import type { Closure } from "../../decide/rollout/closedServices.js";
import type { Decision } from "../../decide/rollout/decision.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import type { UnansweredTable } from "../../decide/rollout/unansweredTables.js";
import type { Resource } from "../../declare/resources/resource.js";
import type { ApprovalRequest, Operation } from "../approvals/request.js";
import { mostNeeded } from "../approvals/required.js";
import type { HistoryEntry } from "../changes/change.js";
import type { ApplyResult } from "../changes/changeSet.js";
import type { Difference } from "../state/difference.js";
import type { LastDecision } from "../state/store/lastDecision.js";

/** A current fault of a Gateway: of its bypass probe, issuer keys, sidecar or client connections. */
export interface GatewayAlarm {
	/** Qualified name; empty = of no Gateway: visible with `read` in all namespaces. */
	readonly gateway: string;
	/** For example PROBE_FAILED, NO_KEYS or KEYS_NOTE. */
	readonly alarm: string;
	readonly why: string | null;
	/** For the bypass probe: `node.id` of the Envoy. */
	readonly envoy?: string;
}

/** A Variant does not serve the model that it names. */
export const MODEL_NOT_SERVED = "model-not-served";
/** Control has no key of an issuer, so Envoy can verify none of its tokens. */
export const NO_KEYS = "no-issuer-keys";
/** A Gateway refuses tokens because the sidecar has no key of their issuer. */
export const NO_SIDECAR_KEYS = "no-sidecar-keys";
/** Requests to a Gateway get 503 because the sidecar gives no verdict. */
export const UNANSWERED = "verdicts-unanswered";
/** No client can connect to a Gateway that uses the mesh's identity. */
export const NO_CLIENTS = "no-clients";
/** A trusted proxy can never connect. */
export const PROXY_REFUSED = "trusted-proxy-refused";
/** A plan is published and not stored on disk. */
export const PLAN_UNKEPT = "plan-unkept";
/** The state file cannot be written. */
export const STATE_UNWRITTEN = "state-unwritten";
/** The event store cannot be written. */
export const EVENTS_UNWRITTEN = "events-unwritten";
/** A part of Weir gets no new SVID from its agent. */
export const IDENTITY_UNRENEWED = "identity-unrenewed";
/** A note, not an alarm: some keys of an issuer are faulty; `why` has the details. */
export const KEYS_NOTE = "issuer-keys-note";
/** The bypass probe failed at an Envoy, or the Envoy has not reported it. */
export const PROBE_FAILED = "probe-failed";

/** An answer that holds only what the caller may read. */
export interface Partly {
	/** Other namespaces may have more. Absent: the answer is complete. */
	readonly partial?: true;
}

/** GET /v1/resources */
export interface ResourcesAnswer extends Partly {
	readonly revision: number;
	/** The last revision that changed a resource in any namespace; 0 = nothing was ever declared. */
	readonly declaredRevision: number;
	/** The last such revision that a start of `weir up` with files has seen; null = none. */
	readonly startRevision: number | null;
	readonly resources: readonly Resource[];
}

/** GET /v1/diff */
export interface DiffAnswer extends Partly, Difference {}

/** GET /v1/status */
export interface StatusAnswer extends Partly {
	readonly revision: number;
	/** A sentence, if Envoys are given an older revision for too long. */
	readonly lag: string | null;
	/** Sidecars that have not accepted their newest table for too long. */
	readonly untaken?: readonly UnansweredTable[];
	/** Configuration that Envoys and sidecars refuse; source and error only in readable namespaces. */
	readonly refusals: readonly Refusal[];
	/** Services whose configuration an Envoy refuses, so that it answers 503. */
	readonly closed: readonly Closure[];
	/** Resources without effect. */
	readonly faults?: readonly { readonly resource: string; readonly message: string }[];
	/** The alarms of Gateways and of control itself. */
	readonly alarms: readonly GatewayAlarm[];
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
		/** Model that each Variant serves, `NAME@sha256:…`; absent = none has one. */
		readonly models?: Readonly<Record<string, string>> | undefined;
	}[];
}

/** Status 202: an ApprovalPolicy requires approval first (`weir approve ID`). */
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
	/** Required approvals: the most that one namespace requires. */
	readonly needs: number;
	/** The exact content, by id while it is pending; else null. */
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

/** GET /v1/policies/shadow-gaps: missing results of shadow policies, since Envoy cannot try them all. */
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
			/** Gaps of the shadow policies that it concerns; absent: none, or a dry run. */
			readonly shadowGaps?: readonly ShadowGap[];
	  })
	| Extract<ApplyResult, { readonly outcome: "refused" }>;

/** POST /v1/experiments/NAME/VERB: the decision, or that it waits for approval. */
export type OperationAnswer =
	| PendingAnswer
	| { readonly outcome: "done"; readonly revision: number; readonly decision: Decision };
