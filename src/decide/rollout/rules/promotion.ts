/**
 * Promotion, at the last step: every claim of an arm is proved, including the goal. The highest lower bound of the goal wins.
 * It is held for a person, up to maxDuration, if the winner was frozen for harm, its effect fades, it interacts with another
 * running Experiment, it would deny callers of the default Variant, or it was not compared with the current default. While
 * another Experiment of the Service is being promoted, it waits for that one's end.
 */
import type { Analysis } from "../../../infer/statistics/analyse.js";
import { claims, levels } from "../../../infer/statistics/claim.js";
import { type EffectOverTime, effectOverTime } from "../../../infer/statistics/effectOverTime.js";
import { type Interaction, interactions } from "../../../infer/statistics/interaction.js";
import { baselineOf, baselineVariant, type Question, questionOf } from "../../../infer/statistics/question.js";
import type { DecisionInput, Finding, Outcome, Rule, WaitsFor } from "../decision.js";
import { uncompared } from "../otherPromotion.js";
import { type Explanation, openChallengers, outcomeOf, type RuleFunction } from "../outcome.js";
import { scarcest } from "../scarcest.js";
import { number, passSentence, percent } from "../sentence.js";
import { better, plain } from "../summary.js";
import { startTakeover } from "../takeover.js";
import { namesOfHarm } from "./harm.js";
import { maxDuration } from "./maxDuration.js";
import { leftOut } from "./ramp.js";

/** Level at which an interaction is proved: the rate of false holds. */
const INTERACTION_ALPHA = 0.01;

interface Winner {
	readonly arm: string;
	readonly goal: Finding;
	readonly findings: readonly Finding[];
}

export const promotion: RuleFunction = (input, analysis) => {
	const { experiment, status, nowMs } = input;
	const { stepsPpm, minUnits } = experiment.spec.rollout;
	if (scarcest(input).units < minUnits || stepsPpm[status.stepIndex + 1] !== undefined) return null;
	const best = winner(input, analysis);
	if (best === null) return null;
	// First, because a person may not promote it either meanwhile.
	if (input.beingPromoted !== undefined) return afterAnother(input, analysis, best.arm, input.beingPromoted);
	const harmedBy = namesOfHarm(status, best.arm);
	if (harmedBy.length > 0) return held(input, analysis, harmedBefore(best.arm, harmedBy));
	const trend = overTime(input, best);
	if (trend?.trend === "fades") return held(input, analysis, fading(best, trend));
	const [other] = interacting(input, best);
	if (other !== undefined) return held(input, analysis, interaction(best, other));
	const replaces = uncompared(experiment, best.arm, input.replaces);
	if (replaces !== null) return held(input, analysis, notCompared(input, best.arm, replaces));
	const loss = input.accessLosses?.[best.arm];
	if (loss !== undefined) return held(input, analysis, losingAccess(best.arm, loss));
	const after = startTakeover(experiment, status, best.arm, nowMs);
	const { variant = "", takeoverPpm = 0 } = after.promotion ?? {};
	const from = percent(takeoverPpm);
	return outcomeOf(
		input,
		analysis,
		["promote", "promote"],
		{
			reason: `Promoted arm ${best.arm} (variant ${variant}): ${best.findings.map(passSentence).join(", ")}, ${looked(input, best)}; it takes over from ${from} on${leftOut(input)}${weaker(trend)}.`,
			summary: plain(
				better(best.goal, best.findings, input),
				`${variant} takes over${trend?.trend === "weaker" ? ", but it helped the first people more than the later ones" : ""}`,
			),
		},
		{ status: after },
	);
};

function looked({ experiment }: DecisionInput, best: Winner): string {
	if (experiment.spec.rollout.inference.design === "sequential") return "all proved at all looks";
	return best.findings.length === 1 ? "proved" : "all proved, the guardrails at all looks";
}

/** The best arm with all claims proved; null = none. */
function winner(input: DecisionInput, analysis: Analysis): Winner | null {
	let best: Winner | null = null;
	const { status } = input;
	const isHarmed = (arm: string): boolean => namesOfHarm(status, arm).length > 0;
	for (const arm of openChallengers(input)) {
		const findings = analysis.findings.filter((finding) => finding.arm === arm);
		const goal = findings.find((finding) => finding.role === "goal" && finding.segment === undefined);
		if (goal === undefined || !findings.every((finding) => finding.verdict === "pass")) continue;
		// Arms that were never frozen for harm come first: they need no person.
		const before = best === null ? 0 : Number(isHarmed(best.arm)) - Number(isHarmed(arm));
		if (best === null || before > 0 || (before === 0 && lowerOf(goal) > lowerOf(best.goal)))
			best = { arm, goal, findings };
	}
	return best;
}

/** The lower bound that proved the goal. */
function lowerOf({ look, lower }: Finding): number {
	return (look === undefined ? lower : look.lower) ?? Number.NEGATIVE_INFINITY;
}

function goalQuestion({ experiment, metrics }: DecisionInput, { arm }: Winner): Question | null {
	const claim = claims(experiment, metrics).find((one) => one.arm === arm && one.role === "goal");
	if (claim === undefined || claim.metric === null) return null;
	const { pass, harm } = levels(experiment);
	return questionOf(claim, claim.metric, experiment, pass, harm);
}

function overTime(input: DecisionInput, best: Winner): EffectOverTime | null {
	const question = goalQuestion(input, best);
	if (question === null) return null;
	const names = { metric: best.goal.metric, arm: best.arm, baseline: baselineOf(input.experiment) };
	return effectOverTime(question, names, input.evidence.periods);
}

function interacting(input: DecisionInput, best: Winner): Interaction[] {
	const question = goalQuestion(input, best);
	if (question === null) return [];
	const names = { metric: best.goal.metric, arm: best.arm, experiment: input.experiment };
	return interactions(question, names, input.evidence.interactions, INTERACTION_ALPHA);
}

/** A warning at the end of the sentence. */
function weaker(trend: EffectOverTime | null): string {
	if (trend?.trend !== "weaker") return "";
	const [early, late] = [shown(trend.early.improvement), shown(trend.late.improvement)];
	return `; caution, the effect weakens: ${early} among the early half of the units, ${late} among the late half`;
}

const shown = (value: number | null): string => (value === null ? "unknown" : number(value));

interface Held {
	readonly rule: Rule;
	readonly waitsFor: WaitsFor;
	/** Without the full stop. */
	readonly why: Explanation;
	/** How a person can still promote it. */
	readonly how?: string;
}

/** It waits for a person, but not beyond its time. */
function held(input: DecisionInput, analysis: Analysis, { rule, waitsFor, why, how = "" }: Held): Outcome {
	const { status } = input;
	const ended = maxDuration(input, analysis, { by: "person", ...why });
	if (ended !== null) return ended;
	const explanation = {
		reason: `Holding at ${percent(status.allocationPpm)}: ${why.reason}; a person may promote${how}.`,
		summary: `${why.summary}; a person may promote it all the same.`,
	};
	return outcomeOf(input, analysis, ["hold", rule], explanation, { waitsFor });
}

/** A resume after a freeze continues the test; it does not accept the harm. */
function harmedBefore(arm: string, by: readonly string[]): Held {
	const names = by.join(", ");
	return {
		...{ rule: "harm", waitsFor: "person", how: ` it by its name (--arm ${arm})` },
		why: {
			reason: `every claim of arm ${arm} is proved by now, but it was frozen when ${names} was proved worse`,
			summary: `${arm} would be ready, but it was stopped before because ${names} was worse`,
		},
	};
}

function fading({ arm, goal }: Winner, { early, late, lateFromMs }: EffectOverTime): Held {
	return {
		...{ rule: "novelty", waitsFor: "proof" },
		why: {
			reason: `the effect of arm ${arm} on ${goal.metric} fades: at least ${number(early.lower)} among units first exposed before ${lateFromMs}, at most ${number(late.upper)} since, the line is ${number(goal.line)}; read at this look, it is a caution and no proof`,
			summary: `${arm} would be ready, but as it looks now it helped only the first people: those who came later no longer gain as much as was asked for`,
		},
	};
}

function interaction({ arm, goal }: Winner, found: Interaction): Held {
	const why =
		found.kind === "assignment"
			? {
					reason: `arm ${arm} and the arms of experiment ${found.with} are not assigned independently (p ${found.p.toExponential(2)}), so each also measures the other`,
					summary: `${arm} would be ready, but who gets it depends on experiment ${found.with}, so their effects cannot be separated`,
				}
			: {
					reason: `arm ${arm} interacts with experiment ${found.with}: ${goal.metric} at least ${number(found.better.measured.lower)} with its arm ${found.better.arm}, at most ${number(found.worse.measured.upper)} with ${found.worse.arm}`,
					summary: `${arm} would be ready, but it helps differently with ${found.better.arm} than with ${found.worse.arm} of experiment ${found.with}, so that one should be decided first`,
				};
	return { rule: "interaction", waitsFor: "person", why };
}

/** Neither a person nor maxDuration ends this wait. */
function afterAnother(input: DecisionInput, analysis: Analysis, arm: string, other: string): Outcome {
	const explanation = {
		reason: `Holding at ${percent(input.status.allocationPpm)}: every claim of arm ${arm} is proved, but Experiment ${other} of the same Service is being promoted; it waits for the end of that.`,
		summary: `${arm} would be ready, but another Experiment of the Service (${other}) is being promoted; it waits for the end of that.`,
	};
	return outcomeOf(input, analysis, ["hold", "concurrent"], explanation, { waitsFor: "promotion" });
}

/** Proved against the previous default Variant, not against the current one. */
function notCompared({ experiment }: DecisionInput, arm: string, replaces: string): Held {
	const from = baselineVariant(experiment);
	return {
		...{ rule: "concurrent", waitsFor: "person" },
		why: {
			reason: `every claim of arm ${arm} is proved against variant ${from}, but variant ${replaces} is the Service's default by now, against which nothing is proved (a new Experiment would measure it)`,
			summary: `${arm} is better than ${from}, but all users get ${replaces} by now, and it is not proved to be better than that`,
		},
	};
}

function losingAccess(arm: string, loss: string): Held {
	return {
		...{ rule: "access", waitsFor: "person", how: " it all the same (--shut-out --reason WHY)" },
		why: {
			reason: `every claim of arm ${arm} is proved, but ${loss}`,
			summary: `${arm} would be ready, but ${loss}`,
		},
	};
}
