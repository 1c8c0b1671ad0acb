/**
 * decide(): from evidence and status to an outcome. Pure: the same input gives the same bytes, so every decision can be
 * recomputed. The rules are tried in this order, and the first that applies decides:
 *
 * 1. harm: a guardrail proved worse than its margin, or the goal proved worse than zero, over all units or in a
 *    segment. Also below minUnits, while paused, under SRM and on broken data.
 * 2. freeze-threshold: quantiles and capped means need it first. Traffic does not change.
 * 3. baseline-moved: thresholds are dropped if the baseline has changed, and frozen again. Not on broken data.
 * 4. srm: pause at a sample ratio p below 0.001, until a person resumes.
 * 5. paused: hold; a person decides.
 * 6. data: no ramp or promotion on broken data.
 * 7. look: a planned look at the goal, if the design has looks.
 * 8. promote (last step only) and ramp. Previous harm, an interaction, novelty, another Experiment's winner and a loss of
 *    access hold a promotion up to maxDuration; another promotion of the Service holds it until that one ends.
 * 9. max-duration: what onInconclusive declares.
 * 10. bandit (last step only): new shares for the arms.
 * 11. wait, with what is missing and an estimate of the time.
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

/** Never throws for valid resources. */
export function decide(input: DecisionInput): Outcome {
	const { status, experiment } = input;
	if (!isExposing(status.phase) && status.phase !== "Promoting") {
		const explanation = { reason: `The experiment has ended: ${status.phase}.`, summary: "It has ended." };
		return outcomeOf(input, NOTHING, ["hold", "wait"], explanation, { waitsFor: "nothing" });
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
