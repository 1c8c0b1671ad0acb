/**
 * Gates: webhooks that approve Weir's own decisions, or are notified of them. Pure: which gates a decision must pass, the
 * request, and the outcome after a rejection. A promotion includes the takeover's first step, so it also asks before-step
 * gates; a person's promotion does the same. Other commands of persons ask none (ApprovalPolicies cover them), nor does the
 * start of an experiment. A rollback never waits for a gate.
 */

import type { Gate } from "../../declare/resources/resource.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import type { FindingLook } from "../../infer/statistics/finding.js";
import type { Decision, DecisionInput, GateAnswer, Outcome } from "./decision.js";
import { percent } from "./sentence.js";

/** The JSON body of a gate's POST. A repeated question has the same id. */
export interface GateQuestion {
	/** Idempotency id; also the header Idempotency-Key. */
	readonly id: string;
	readonly at: Gate["at"];
	/** Qualified names. */
	readonly experiment: string;
	readonly namespace: string;
	readonly service: string;
	/** E.g. ramp, promote, roll-back. */
	readonly action: Outcome["action"];
	readonly from: GatePoint;
	readonly to: GatePoint;
	readonly reason: string;
	/** The reason in plain language. */
	readonly summary: string;
	readonly evidence: readonly GateFinding[];
	readonly srmP: number | null;
}

export interface GatePoint {
	readonly phase: string;
	readonly allocationPpm: number;
	/** The takeover's share; null = no takeover. */
	readonly takeoverPpm: number | null;
	/** The arm that is promoted. */
	readonly arm: string | null;
}

/** A finding without its aggregates. */
export interface GateFinding {
	readonly metric: string;
	readonly arm: string;
	readonly verdict: string;
	readonly improvement: number | null;
	readonly lower: number | null;
	readonly upper: number | null;
	/** The planned look that the verdict is based on. */
	readonly look?: FindingLook;
}

/** Kinds of gates that must approve the outcome, in this order. */
export function gatesBefore({ action, rule }: Outcome): readonly GateAnswer["at"][] {
	switch (action) {
		case "ramp":
		case "advance-takeover":
			return ["before-step"];
		case "promote":
			return ["before-promotion", "before-step"];
		case "complete":
			// A person ends a holdback by promoting once more.
			return rule === "person" ? ["before-promotion", "before-step"] : ["before-step"];
		default:
			return [];
	}
}

/** A request to one gate. */
export interface GateRequest {
	readonly at: GateAnswer["at"];
	readonly gate: Gate;
	readonly question: GateQuestion;
}

/** All requests before the outcome is applied; each kind in declared order. */
export function gateRequests(
	input: Pick<DecisionInput, "experiment" | "status">,
	outcome: Outcome,
): readonly GateRequest[] {
	return gatesBefore(outcome).flatMap((at) =>
		gatesAt(input.experiment, at).map((gate, index) => ({
			at,
			gate,
			question: gateQuestion(input, outcome, at, index),
		})),
	);
}

/** The gates of one kind, in declared order. */
function gatesAt({ spec }: DecisionInput["experiment"], at: Gate["at"]): readonly Gate[] {
	return spec.rollout.gates.filter((gate) => gate.at === at);
}

/** @param index position among the gates of its kind */
export function gateQuestion(
	input: Pick<DecisionInput, "experiment" | "status">,
	outcome: Outcome,
	at: Gate["at"],
	index: number,
): GateQuestion {
	const { experiment, status } = input;
	const name = qualifiedName(experiment.metadata);
	const { service } = experiment.spec;
	const to = point(outcome.status);
	// With the share, because an edit renumbers the steps, and a gate may cache answers by id.
	const place =
		at === "after-rollback"
			? outcome.action
			: [
					outcome.action,
					outcome.status.stepIndex,
					to.allocationPpm,
					to.arm ?? "",
					outcome.status.promotion?.stepIndex ?? "",
					to.takeoverPpm ?? "",
					// A person's question has no evidence, so its id differs.
					...(outcome.rule === "person" ? ["person"] : []),
				].join("-");
	return {
		id: `${name}/${status.startedAtMs}/${at}/${index}/${place}`,
		at,
		experiment: name,
		namespace: experiment.metadata.namespace,
		service: qualifiedName({ name: service, namespace: experiment.metadata.namespace }),
		action: outcome.action,
		from: point(status),
		to,
		reason: outcome.reason,
		summary: outcome.summary ?? outcome.reason,
		evidence: outcome.findings.map(({ metric, arm, verdict, improvement, lower, upper, look }) => ({
			metric,
			arm,
			verdict,
			improvement,
			lower,
			upper,
			...(look === undefined ? {} : { look }),
		})),
		srmP: outcome.srmP,
	};
}

function point({ phase, allocationPpm, promotion }: Outcome["status"]): GatePoint {
	return { phase, allocationPpm, takeoverPpm: promotion?.takeoverPpm ?? null, arm: promotion?.arm ?? null };
}

/** The outcome after a rejection: a hold. The gate is asked again later. */
export function heldByGate(input: Pick<DecisionInput, "status">, wanted: Outcome, answer: GateAnswer): Outcome {
	const at = percent(input.status.allocationPpm);
	return {
		...wanted,
		...(wanted.summary === undefined
			? {}
			: { summary: `Waiting at ${at}: ${answer.where} was asked and did not agree (${answer.why}).` }),
		action: "hold",
		rule: "gate",
		reason: `Held at ${at}: gate ${answer.at} (${answer.where}) did not let ${wanted.action} happen: ${answer.why}.`,
		status: input.status,
		defaultVariant: null,
		expectedMs: null,
		waitsFor: "gate",
		gate: answer,
	};
}

/** Notifications of a decision: only a rollback that Weir decided has any. */
export function rollbackNotices(
	decision: Pick<Decision, "input" | "outcome">,
): readonly { gate: Gate; question: GateQuestion }[] {
	const { input, outcome } = decision;
	if (input === null || outcome.action !== "roll-back") return [];
	return gatesAt(input.experiment, "after-rollback").map((gate, index) => ({
		gate,
		question: gateQuestion(input, outcome, "after-rollback", index),
	}));
}

/** The host of a valid gate URL for logs and decisions: path and query may contain secrets. */
export function gateHost(url: string): string {
	return /^[a-z]+:\/\/(?:[^/?#@]*@)?([^/?#]+)/i.exec(url)?.[1] ?? "unreadable URL";
}
