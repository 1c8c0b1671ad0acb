/**
 * The plain answer that the report begins with: the current state, what happens next and how long that takes. Its first
 * sentence is the decision's own; the rest is what decide() returns now, so that page and rollout cannot differ.
 */
import type { Evidence } from "../../infer/statistics/evidence.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import { movesOn } from "../rollout/closedServices.js";
import { decide } from "../rollout/decide.js";
import { type Decision, type DecisionInput, type Outcome, RULES } from "../rollout/decision.js";
import { gateRequests, gatesBefore, heldByGate } from "../rollout/gate.js";
import { duration, percent } from "../rollout/sentence.js";
import { isExposing } from "../rollout/status.js";
import { count } from "../rollout/summary.js";
import { utc } from "./format.js";
import type { ReportInput } from "./reportInput.js";

export interface Answer {
	/** Two or three words. */
	readonly state: string;
	/** good: it may go on or has won. bad: harm was found or something is broken. open: not known yet. */
	readonly tone: "good" | "bad" | "open";
	/** The current state, for readers who are not statisticians. */
	readonly sentence: string;
	/** The reason for its promotion or end, if the sentence has none; else empty. */
	readonly because: string;
	readonly next: string;
	/** Empty where no time is known well enough. */
	readonly howLong: string;
	/** Estimated ms until that; null = unknown. */
	readonly expectedMs: number | null;
}

export function answerOf(input: ReportInput, found: { readonly evidence: Evidence } | null): Answer {
	const { status, decisions } = input;
	const last = decisions.findLast(({ outcome }) => outcome.action !== "hold");
	if (!isExposing(status.phase) && status.phase !== "Promoting") return ended(input, last);
	if (found === null) return withoutEvidence(input, last);
	const { atMs, ...state } = input;
	const asked = { rules: RULES, ...state, evidence: found.evidence, nowMs: atMs };
	const own = decisions.findLast((decision) => decision.input !== null);
	const wanted = decide({ ...asked, ...accessLossesOf(own) });
	if (input.closed && movesOn(wanted.action)) return closed(input, wanted);
	const now = atGate(asked, wanted, own);
	return {
		...stateOf(input, now),
		sentence: now.summary ?? now.reason,
		because: status.phase === "Promoting" ? promotedFor(decisions) : "",
		next: nextOf(input, now),
		howLong: howLong(input, now),
		expectedMs: now.expectedMs,
	};
}

/** From the last decision: a report does not read the access rules. */
const accessLossesOf = (last: Decision | undefined): Pick<DecisionInput, "accessLosses"> => {
	const { accessLosses } = last?.input ?? {};
	return accessLosses === undefined ? {} : { accessLosses };
};

/** The next step; held if a gate refused it last. */
function atGate(input: DecisionInput, wanted: Outcome, last: Decision | undefined): Outcome {
	const { gate } = last?.outcome ?? {};
	return gate !== undefined && gatesBefore(wanted).includes(gate.at) ? heldByGate(input, wanted, gate) : wanted;
}

function closed(input: ReportInput, wanted: Outcome): Answer {
	return {
		...stateOf(input, wanted),
		sentence: `Held, because the Service is closed: ${wanted.summary ?? wanted.reason}`,
		because: input.status.phase === "Promoting" ? promotedFor(input.decisions) : "",
		next: `That is done when the Service is open again${isGated(input, wanted) ? " and its gate agrees" : ""}: an Envoy or a sidecar refuses its newest configuration (weir status shows why).`,
		howLong: "",
		expectedMs: null,
	};
}

function isGated(input: ReportInput, wanted: Outcome): boolean {
	return gateRequests(input, wanted).length > 0;
}

const ENDED = {
	Promoted: ["Promoted", "good"],
	RolledBack: ["Rolled back", "bad"],
	Aborted: ["Ended by a person", "open"],
} as const;

function ended({ status, experiment, decisions, defaultVariant }: ReportInput, last: Decision | undefined): Answer {
	const [state, tone] = ENDED[status.phase as keyof typeof ENDED];
	const promoted = status.phase === "Promoted" ? (status.promotion?.variant ?? null) : null;
	const baseline = baselineVariant(experiment);
	const live = defaultVariant ?? promoted ?? baseline;
	const next =
		promoted === null
			? `Variant ${live} serves all traffic${live === baseline ? " again" : ""}. Nothing more happens by itself.`
			: `Variant ${live} is the default of Service ${experiment.spec.service}. Nothing more happens by itself.`;
	// A takeover's end adds nothing to the promotion; a holdback's end reports its result.
	const why = status.phase === "Promoted" ? promotedFor(decisions) : "";
	const isAll = why !== "" && experiment.spec.rollout.holdback === null;
	const [sentence, because] = isAll ? [why, ""] : [summaryOf(last), why];
	return { state, tone, sentence, because, next, howLong: "", expectedMs: null };
}

function withoutEvidence({ status }: ReportInput, last: Decision | undefined): Answer {
	return {
		state: status.phase,
		tone: "open",
		sentence: summaryOf(last),
		because: "",
		next: "Nothing is known of its requests: no evidence has been stored yet, or it could not be asked for.",
		howLong: "",
		expectedMs: null,
	};
}

function promotedFor(decisions: readonly Decision[]): string {
	const promotion = decisions.findLast(({ outcome }) => outcome.action === "promote");
	return promotion === undefined ? "" : summaryOf(promotion);
}

function summaryOf(decision: Decision | undefined): string {
	return decision === undefined
		? "Nothing has been decided yet."
		: (decision.outcome.summary ?? decision.outcome.reason);
}

function stateOf({ status }: ReportInput, now: Outcome): Pick<Answer, "state" | "tone"> {
	const { rule, action } = now;
	if (status.phase === "Paused") return { state: "Paused", tone: status.hold === "person" ? "open" : "bad" };
	if (rule === "harm") return { state: "Harm found", tone: "bad" };
	if (rule === "srm" || rule === "data") return { state: "Data broken", tone: "bad" };
	if (status.phase === "Promoting") return { state: "Winner takes over", tone: "good" };
	if (action === "promote") return { state: "A winner", tone: "good" };
	return { state: "Still measuring", tone: "open" };
}

function nextOf(
	{ experiment, status, beingPromoted, replaces = "the old version" }: ReportInput,
	now: Outcome,
): string {
	const { rollout } = experiment.spec;
	if (now.action !== "hold") return "That is done in the next seconds.";
	const step = rollout.stepsPpm[status.stepIndex + 1];
	const rises = step === undefined ? "the result is judged" : `the share in the experiment rises to ${percent(step)}`;
	const harm =
		rollout.onHarm === "freeze"
			? "proved harm freezes it at once"
			: `proved harm moves all traffic back to ${replaces} at once`;
	switch (now.waitsFor) {
		case "threshold":
			return "When that is set, the first people are measured by it.";
		case "units":
			return `When every arm has ${count(rollout.minUnits)} people measured, ${rises}; ${harm}.`;
		case "step-time":
			return `Then ${rises}; ${harm}.`;
		case "proof":
			return `The arm whose goal and guardrails are all proved is promoted; ${harm}.`;
		case "look":
			return `That look decides; ${harm}.`;
		case "person":
			return `A person decides: ${personMay(status, beingPromoted)}.`;
		case "promotion":
			return `It goes on if its baseline's Variant or its own is the default then; else it is left to a person, unless its time is over by then; ${harm}.`;
		case "gate":
			return "It goes on when the gate agrees.";
		case "data":
			return status.phase === "Promoting"
				? `It ends when the data are whole again; ${harm}. Or a person ends it: ${personMay(status, beingPromoted)}.`
				: `It goes on when the data are whole again; ${harm}.`;
		case "takeover-time":
		case "takeover-health":
			return "The winner takes over more of the traffic step by step, as long as its requests succeed.";
		case "holdback":
			return "The share that is held back ends with its time; until then a late effect is looked for.";
		default:
			return `The rollout goes on looking; ${harm}.`;
	}
}

function personMay({ phase }: ReportInput["status"], beingPromoted: string | undefined): string {
	if (phase === "Promoting") return "weir promote ends the holdback, abort moves all traffic back";
	const paused = phase === "Paused";
	if (beingPromoted !== undefined)
		return `weir ${paused ? "resume or " : ""}abort, and promote when Experiment ${beingPromoted} has ended`;
	return paused ? "weir resume, promote or abort" : "weir promote with its name (--arm), or abort";
}

function howLong({ experiment, status, replaces = "the old version" }: ReportInput, now: Outcome): string {
	const { expectedMs, action, waitsFor, gate } = now;
	const { rollout } = experiment.spec;
	const { maxDurationMs, onInconclusive } = rollout;
	const estimate = expectedMs === null ? "" : `At the present pace that takes about ${duration(expectedMs)}.`;
	const pace = action === "hold" ? estimate : "Now.";
	const isLastStep = rollout.stepsPpm[status.stepIndex + 1] === undefined;
	// What is promoted, or waits for another promotion or for a gate before its own, has its verdict. A pause goes on.
	const hasVerdict = action === "promote" || waitsFor === "promotion" || (gate !== undefined && isLastStep);
	if (maxDurationMs === null || status.phase !== "Running" || hasVerdict) return pace;
	const endMs = (status.durationFromMs ?? status.startedAtMs) + maxDurationMs;
	const end = onInconclusive === "pause" ? "it pauses for a person" : `${replaces} stays`;
	return `${pace} Without a verdict by ${utc(endMs)} ${end}.`.trimStart();
}
