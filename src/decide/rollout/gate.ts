/**
 * Gates: webhooks that are asked before what Weir would do by itself, or told after it. Pure: which gate a decision
 * must pass, what it is sent, and what a no makes of the decision. A promotion begins with its takeover's first step, so it
 * asks those before a step too. A person's asks both kinds as well (state/acts/promotionGates.ts), its other acts ask none (an
 * ApprovalPolicy is the check on persons), and a rollback never waits for one. The first step of all begins with the declaration,
 * which a person applied, and asks none.
 */

import type { Gate } from "../../declare/resources/resource.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import type { FindingLook } from "../../infer/statistics/finding.js";
import type { Decision, DecisionInput, GateAnswer, Outcome } from "./decision.js";
import { percent } from "./sentence.js";

/** What a gate receives as JSON, in a POST. The same question has the same id, however often it is asked. */
export interface GateQuestion {
	/** Idempotency id; also the header Idempotency-Key. */
	readonly id: string;
	readonly at: Gate["at"];
	/** Qualified names. */
	readonly experiment: string;
	readonly namespace: string;
	readonly service: string;
	/** What happens with the decision, e.g. ramp, promote, roll-back. */
	readonly action: Outcome["action"];
	readonly from: GatePoint;
	readonly to: GatePoint;
	readonly reason: string;
	/** In plain words. */
	readonly summary: string;
	readonly evidence: readonly GateFinding[];
	readonly srmP: number | null;
}

export interface GatePoint {
	readonly phase: string;
	readonly allocationPpm: number;
	/** Of a takeover; null = none under way. */
	readonly takeoverPpm: number | null;
	/** The arm that is promoted. */
	readonly arm: string | null;
}

/** A finding without its aggregates: enough to judge by, and no unit in it. */
export interface GateFinding {
	readonly metric: string;
	readonly arm: string;
	readonly verdict: string;
	readonly improvement: number | null;
	readonly lower: number | null;
	readonly upper: number | null;
	/** Of a goal with planned looks: what its verdict goes by. */
	readonly look?: FindingLook;
}

/** Which gates are asked before it happens, in this order; none = it needs no asking. */
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

/** What is asked of one gate. */
export interface GateRequest {
	readonly at: GateAnswer["at"];
	readonly gate: Gate;
	readonly question: GateQuestion;
}

/** All that is asked before it happens; of each kind in declared order. */
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

/** The question to one gate. `index`: its place among the gates of its kind. */
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
	// The share too, for an edit of steps counts them anew: a gate that remembers its answers must not know this one yet.
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
					// Without evidence it is another question.
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

/** What becomes of a decision that a gate did not let through: nothing moves, and it is asked again later. */
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

/** The gates to tell of a decision: those of a rollback that Weir made. */
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

/** The host of a gate's URL for logs and decisions: path and query may hold secrets. Works on what parsed as a URL. */
export function gateHost(url: string): string {
	return /^[a-z]+:\/\/(?:[^/?#@]*@)?([^/?#]+)/i.exec(url)?.[1] ?? "unreadable URL";
}
