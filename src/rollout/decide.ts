/**
 * decide(): evidence and status in, outcome out. Pure: the same input gives the same bytes, so that every decision
 * can be recomputed. The rules are tried in this order and the first that fires is the decision:
 *
 * 1. harm: a guardrail proved worse than its margin, or the goal proved worse than zero: that arm is closed, and
 *    when no challenger is left the experiment is rolled back. Below minUnits, while paused, under SRM alike.
 * 2. freeze-threshold: not a change of traffic, but the first thing that a latency quantile needs.
 * 3. srm: sample ratio p below 0.001: pause until a person resumes.
 * 4. a pause holds; a person decides.
 * 5. promote (last step only) and ramp.
 * 6. max-duration: what onInconclusive says.
 * 7. wait, with what is missing and how long it may take.
 */
import { type Analysis, analyse } from "../analysis/analyse.js";
import { claimedMetrics, latencyThresholdMs, requestsToFreeze } from "../analysis/claim.js";
import { exposureCounts } from "../analysis/sequential/srm.js";
import type { DecisionInput, Finding, Outcome, Rule, WaitsFor } from "./decision.js";
import { expectedProofMs, expectedUnitsMs } from "./expectation.js";
import { duration, harmSentence, lackSentence, number, passSentence, percent } from "./sentence.js";
import { type ExperimentStatus, isExposing } from "./status.js";
import { decideTakeover, startTakeover } from "./takeover.js";

/** Below this p the sample ratio is taken as broken: rare enough to interrupt people, usual in the field. */
export const SRM_ALPHA = 0.001;

/** The decision for this moment. Never throws for valid resources; every branch returns a reason with numbers. */
export function decide(input: DecisionInput): Outcome {
	const { status } = input;
	if (status.phase === "Promoting") return decideTakeover(input);
	if (!isExposing(status.phase))
		return outcomeOf(input, NOTHING, "hold", "wait", `The experiment has ended: ${status.phase}.`, {
			waitsFor: "nothing",
		});
	const analysis = analyse({
		experiment: input.experiment,
		metrics: input.metrics,
		evidence: input.evidence,
		thresholds: status.thresholds,
		closedArms: status.closedArms,
		accepted: typeof status.acceptedExposures === "object" ? status.acceptedExposures : {},
	});
	return (
		harm(input, analysis) ??
		freeze(input, analysis) ??
		sampleRatioRule(input, analysis) ??
		paused(input, analysis) ??
		promoteOrRamp(input, analysis) ??
		maxDuration(input, analysis) ??
		wait(input, analysis)
	);
}

const NOTHING: Analysis = { findings: [], srm: null };

interface Extras {
	readonly status?: ExperimentStatus;
	readonly waitsFor?: WaitsFor;
	readonly expectedMs?: number | null;
}

function outcomeOf(
	input: DecisionInput,
	analysis: Analysis,
	action: Outcome["action"],
	rule: Rule,
	reason: string,
	extras: Extras,
): Outcome {
	return {
		action,
		rule,
		reason,
		findings: analysis.findings,
		srmP: analysis.srm?.p ?? null,
		status: extras.status ?? input.status,
		defaultVariant: null,
		expectedMs: extras.expectedMs ?? null,
		...(extras.waitsFor === undefined ? {} : { waitsFor: extras.waitsFor }),
	};
}

/** Challengers still in play, in declared order. */
export function openChallengers({ experiment, status }: Pick<DecisionInput, "experiment" | "status">): string[] {
	return experiment.spec.arms
		.filter((arm) => !arm.baseline && !status.closedArms.includes(arm.name))
		.map((arm) => arm.name);
}

function harm(input: DecisionInput, analysis: Analysis): Outcome | null {
	const harms = analysis.findings.filter((finding) => finding.verdict === "harm");
	if (harms.length === 0) return null;
	const harmed = [...new Set(harms.map((finding) => finding.arm))];
	const left = openChallengers(input).filter((arm) => !harmed.includes(arm));
	const closedArms = [...input.status.closedArms, ...harmed];
	const reason = `${harms.map(harmSentence).join("; ")}.`;
	if (left.length > 0)
		return outcomeOf(
			input,
			analysis,
			"close-arm",
			"harm",
			`Closed ${harmed.join(", ")}, ${left.join(", ")} goes on: ${reason}`,
			{
				status: { ...input.status, closedArms },
			},
		);
	return outcomeOf(input, analysis, "roll-back", "harm", `Rolled back: ${reason}`, {
		status: { ...input.status, phase: "RolledBack", allocationPpm: 0, hold: null, closedArms },
	});
}

/** Freezes every latency threshold whose baseline has been measured well enough; from data before now only. */
function freeze(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { experiment, metrics, status, nowMs } = input;
	const thresholds = { ...status.thresholds };
	const said: string[] = [];
	for (const name of claimedMetrics(experiment)) {
		const quantile = metrics[name]?.spec.quantile ?? null;
		const measured = input.baselineQuantiles?.[name];
		if (quantile === null || metrics[name]?.spec.type !== "quantile" || thresholds[name] !== undefined) continue;
		if (measured === undefined || measured.requests < requestsToFreeze(quantile)) continue;
		if (measured.units < experiment.spec.rollout.minUnits) continue;
		const thresholdMs = latencyThresholdMs(experiment, name, measured.valueMs);
		thresholds[name] = { thresholdMs, frozenAtMs: nowMs, sampleSize: measured.requests };
		said.push(
			`${name}: slower than ${number(thresholdMs)} ms counts as slow (the baseline's quantile ${quantile} was ` +
				`${number(measured.valueMs)} ms over ${measured.requests} requests of ${measured.units} units)`,
		);
	}
	if (said.length === 0) return null;
	return outcomeOf(input, analysis, "freeze-threshold", "freeze-threshold", `Frozen ${said.join("; ")}.`, {
		status: { ...status, thresholds },
	});
}

function sampleRatioRule(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { status, evidence } = input;
	if (status.acceptedExposures === "pending") {
		const accepted = exposureCounts(evidence.exposures);
		return outcomeOf(
			input,
			analysis,
			"resume",
			"srm",
			`The sample ratio is counted anew from here: a person resumed after the alarm (until now p ${number(analysis.srm?.p ?? 1)}).`,
			{
				status: { ...status, acceptedExposures: accepted },
			},
		);
	}
	if (analysis.srm === null || !(analysis.srm.p < SRM_ALPHA) || status.phase === "Paused") return null;
	const last = evidence.exposures.at(-1);
	const counts = Object.entries(last?.counts ?? {})
		.map(([arm, count]) => `${arm} ${count}`)
		.join(", ");
	return outcomeOf(
		input,
		analysis,
		"pause",
		"srm",
		`Paused: sample ratio mismatch, p ${analysis.srm.p.toExponential(2)} over ${analysis.srm.units} exposed units (latest plan: ${counts}); no ramp or promotion until a person resumes.`,
		{ status: { ...status, phase: "Paused", hold: "srm" } },
	);
}

function paused(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { status } = input;
	if (status.phase !== "Paused") return null;
	const rule = status.hold === "srm" ? "srm" : status.hold === "inconclusive" ? "max-duration" : "person";
	const why = { srm: "a sample ratio mismatch", inconclusive: "an inconclusive end", person: "a person" }[
		status.hold ?? "person"
	];
	return outcomeOf(
		input,
		analysis,
		"hold",
		rule,
		`Paused at ${percent(status.allocationPpm)} by ${why}; harm is still watched, a person may resume, promote or abort.`,
		{
			waitsFor: "person",
		},
	);
}

/** Units that the slowest open arm has, over every declared metric: its evidence is as old as its scarcest one. */
function scarcest(input: DecisionInput): { readonly arm: string; readonly what: string; readonly units: number } {
	const { experiment, evidence } = input;
	const open = openChallengers(input);
	let least = { arm: "", what: "", units: Number.POSITIVE_INFINITY };
	for (const arm of experiment.spec.arms) {
		if (!arm.baseline && (!open.includes(arm.name) || arm.weight === 0)) continue;
		const seen = evidence.arms.find((entry) => entry.arm === arm.name);
		const candidates = [
			{ arm: arm.name, what: "matured units", units: seen?.maturedUnits ?? 0 },
			...claimedMetrics(experiment).map((metric) => ({
				arm: arm.name,
				what: `units with ${metric}`,
				units: seen?.metrics[metric]?.n ?? 0,
			})),
		];
		for (const candidate of candidates) if (candidate.units < least.units) least = candidate;
	}
	return least;
}

function promoteOrRamp(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { experiment, status, nowMs } = input;
	const { stepsPpm, everyMs, minUnits } = experiment.spec.rollout;
	if (scarcest(input).units < minUnits) return null;
	const next = stepsPpm[status.stepIndex + 1];
	if (next === undefined) return promotion(input, analysis);
	if (nowMs - status.stepStartedAtMs < everyMs) return null;
	const { arm, units } = scarcest(input);
	return outcomeOf(
		input,
		analysis,
		"ramp",
		"ramp",
		`Ramped from ${percent(status.allocationPpm)} to ${percent(next)}: ${units} matured units in the smallest arm ${arm} (needs ${minUnits}), ${duration(nowMs - status.stepStartedAtMs)} at this step, no harm${incomplete(input)}.`,
		{ status: { ...status, stepIndex: status.stepIndex + 1, allocationPpm: next, stepStartedAtMs: nowMs } },
	);
}

function incomplete({ evidence }: DecisionInput): string {
	const dropped = evidence.droppedEntries === 0 ? "" : `; ${evidence.droppedEntries} access-log entries were dropped`;
	const conflicting =
		evidence.conflictingUnits === 0 ? "" : `; ${evidence.conflictingUnits} units seen in two arms were left out`;
	return dropped + conflicting;
}

/** At the last step: every claim of an arm proved, the goal among them. The highest lower bound of the goal wins. */
function promotion(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { experiment, nowMs } = input;
	if (experiment.spec.goal === null) return null;
	let best: { readonly arm: string; readonly lower: number; readonly findings: readonly Finding[] } | null = null;
	for (const arm of openChallengers(input)) {
		const findings = analysis.findings.filter((finding) => finding.arm === arm);
		const goal = findings.find((finding) => finding.role === "goal");
		if (goal === undefined || goal.lower === null || !findings.every((finding) => finding.verdict === "pass")) continue;
		if (best === null || goal.lower > best.lower) best = { arm, lower: goal.lower, findings };
	}
	if (best === null) return null;
	const status = startTakeover(experiment, input.status, best.arm, nowMs);
	return outcomeOf(
		input,
		analysis,
		"promote",
		"promote",
		`Promoted arm ${best.arm} (variant ${status.promotion?.variant ?? ""}): ${best.findings.map(passSentence).join(", ")}, all proved at all looks; it takes over from ${percent(status.promotion?.takeoverPpm ?? 0)} on${incomplete(input)}.`,
		{ status },
	);
}

function maxDuration(input: DecisionInput, analysis: Analysis): Outcome | null {
	const { experiment, status, nowMs } = input;
	const { maxDurationMs, onInconclusive } = experiment.spec.rollout;
	const ran = nowMs - (status.durationFromMs ?? status.startedAtMs);
	if (maxDurationMs === null || ran < maxDurationMs) return null;
	const reason = `no verdict after ${duration(ran)} of at most ${duration(maxDurationMs)}`;
	if (onInconclusive === "pause")
		return outcomeOf(input, analysis, "pause", "max-duration", `Paused: ${reason}; a person decides.`, {
			status: { ...status, phase: "Paused", hold: "inconclusive" },
		});
	return outcomeOf(input, analysis, "roll-back", "max-duration", `Back to the default: ${reason}.`, {
		status: { ...status, phase: "RolledBack", allocationPpm: 0, hold: null },
	});
}

function wait(input: DecisionInput, analysis: Analysis): Outcome {
	const { experiment, metrics, status, nowMs } = input;
	const { stepsPpm, everyMs, minUnits } = experiment.spec.rollout;
	const hold = (waitsFor: WaitsFor, missing: string, expectedMs: number | null): Outcome =>
		outcomeOf(input, analysis, "hold", "wait", `Holding at ${percent(status.allocationPpm)}: ${missing}.`, {
			waitsFor,
			expectedMs,
		});
	const stepLeft = Math.max(0, everyMs - (nowMs - status.stepStartedAtMs));
	const unfrozen = claimedMetrics(experiment).filter(
		(name) => metrics[name]?.spec.type === "quantile" && status.thresholds[name] === undefined,
	);
	if (unfrozen.length > 0) {
		const [first = ""] = unfrozen;
		const measured = input.baselineQuantiles?.[first];
		const needs = requestsToFreeze(metrics[first]?.spec.quantile ?? 0.5);
		return hold(
			"threshold",
			`the latency threshold of ${unfrozen.join(", ")} is not frozen, the default variant has ${measured?.requests ?? 0} of ${needs} requests and ${measured?.units ?? 0} of ${minUnits} units`,
			null,
		);
	}
	const least = scarcest(input);
	const last = status.stepIndex + 1 >= stepsPpm.length;
	if (least.units < minUnits) {
		const more = expectedUnitsMs(input, least.arm, minUnits - least.units);
		return hold(
			"units",
			`arm ${least.arm} has ${least.units} of ${minUnits} ${least.what}`,
			more === null ? null : last ? more : Math.max(more, stepLeft),
		);
	}
	if (!last) return hold("step-time", `${duration(stepLeft)} of this step are left`, stepLeft);
	if (experiment.spec.goal === null)
		return hold("person", "no goal is declared, so only a person promotes; no harm is proved", null);
	const open = analysis.findings.filter((finding) => finding.verdict !== "pass");
	return hold("proof", open.map(lackSentence).join("; "), expectedProofMs(input, analysis.findings));
}
