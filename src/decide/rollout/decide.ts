/**
 * decide(): evidence and status in, outcome out. Pure: the same input gives the same bytes, so that every decision
 * can be recomputed. The rules are tried in this order and the first that fires is the decision:
 *
 * 1. harm: a guardrail proved worse than its margin, or the goal proved worse than zero, over all units or in a
 *    segment. Below minUnits, while paused, under SRM, on broken data alike.
 * 2. freeze-threshold: not a change of traffic, but the first thing that a quantile or a capped mean needs.
 * 3. baseline-moved: thresholds that the baseline has moved away from are given up, to be frozen anew; not on broken numbers.
 * 4. srm: sample ratio p below 0.001: pause until a person resumes.
 * 5. a pause holds; a person decides.
 * 6. data: on broken data nothing is ramped or promoted.
 * 7. look: a planned look at the goal, where the design has them.
 * 8. promote (last step only; former harm, interaction, novelty, another Experiment's winner and a loss of access may hold
 *    it, up to maxDuration, and another promotion of the Service for as long as that lasts) and ramp.
 * 9. max-duration: what onInconclusive says.
 * 10. bandit (last step only): other shares for the arms.
 * 11. wait, with what is missing and how long it may take.
 */
import { analyse, NOTHING } from "../../infer/statistics/analyse.js";
import type { DecisionInput, Outcome } from "./decision.js";
import { decideHoldback } from "./holdback.js";
import { outcomeOf, type RuleFunction } from "./outcome.js";
import { bandit } from "./rules/bandit.js";
import { baselineMoved } from "./rules/baselineMoved.js";
import { brokenData } from "./rules/brokenData.js";
import { freezeThreshold } from "./rules/freezeThreshold.js";
import { harm } from "./rules/harm.js";
import { maxDuration } from "./rules/maxDuration.js";
import { paused } from "./rules/paused.js";
import { looksByArm, plannedLook } from "./rules/plannedLook.js";
import { promotion } from "./rules/promotion.js";
import { ramp } from "./rules/ramp.js";
import { sampleRatioRule } from "./rules/sampleRatio.js";
import { wait } from "./rules/wait.js";
import { heldBackOf, isExposing } from "./status.js";
import { decideTakeover } from "./takeover.js";

const RULES: readonly RuleFunction[] = [
	harm,
	freezeThreshold,
	baselineMoved,
	sampleRatioRule,
	paused,
	brokenData,
	plannedLook,
	promotion,
	ramp,
	maxDuration,
	bandit,
];

/** The decision for this moment. Never throws for valid resources; every branch returns a reason with numbers. */
export function decide(input: DecisionInput): Outcome {
	const { status, experiment } = input;
	if (!isExposing(status.phase) && status.phase !== "Promoting") {
		const words = { reason: `The experiment has ended: ${status.phase}.`, summary: "It has ended." };
		return outcomeOf(input, NOTHING, ["hold", "wait"], words, { waitsFor: "nothing" });
	}
	const heldBackFromMs = status.promotion?.heldBackFromMs;
	if (status.phase === "Promoting" && heldBackFromMs === undefined) return decideTakeover(input, NOTHING);
	const analysis = analyse({
		experiment,
		metrics: input.metrics,
		evidence: input.evidence,
		thresholds: status.thresholds,
		closedArms: status.closedArms,
		accepted: typeof status.acceptedExposures === "object" ? status.acceptedExposures : {},
		looks: looksByArm(status),
		heldBack: heldBackOf(status),
	});
	if (heldBackFromMs !== undefined && status.phase === "Promoting")
		return decideHoldback(input, analysis, heldBackFromMs);
	for (const rule of RULES) {
		const outcome = rule(input, analysis);
		if (outcome !== null) return outcome;
	}
	return wait(input, analysis);
}
