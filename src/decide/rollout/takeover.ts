/**
 * The takeover after a promotion: the winner's Variant gets the other entries' points step by step, each after a check of
 * healthy endpoints, until it is the Service's default Variant.
 */

import type { Experiment } from "../../declare/resources/resource.js";
import type { Analysis } from "../../infer/statistics/analyse.js";
import type { VariantHealth } from "../../infer/statistics/evidence.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import { PPM } from "../../limits/index.js";
import type { DecisionInput, Outcome } from "./decision.js";
import { uncompared } from "./otherPromotion.js";
import { type Explanation, type Extras, outcomeOf } from "./outcome.js";
import { duration, percent } from "./sentence.js";
import type { ExperimentStatus } from "./status.js";

/** Minimum of requests to judge the endpoints' health. */
const TAKEOVER_REQUESTS_MIN = 20;
/** For Services with little traffic: after this many times the step's duration, one request is enough. */
const TAKEOVER_PATIENCE_STEPS = 10;
/** Equal failures of other Variants excuse a winner's failures up to this share. */
const TAKEOVER_EXCUSE_MAX = 0.1;
/** Above this share of failures the winner's endpoints are unhealthy, unless other Variants fail as often. */
const TAKEOVER_FAILURE_SHARE = 0.01;

/** The status at the start of a promotion: exposures are not counted any more, and the first step is live. */
export function startTakeover(
	experiment: Experiment,
	status: ExperimentStatus,
	arm: string,
	nowMs: number,
): ExperimentStatus {
	const variant = experiment.spec.arms.find((candidate) => candidate.name === arm)?.variant ?? "";
	const { stepsPpm, holdback } = experiment.spec.rollout;
	const first = stepsPpm[0] ?? PPM;
	// The holdback's units must not move first.
	const takeoverPpm = Math.min(first, PPM - (holdback?.sharePpm ?? 0));
	return {
		...status,
		phase: "Promoting",
		hold: null,
		stepStartedAtMs: nowMs,
		promotion: { arm, variant, stepIndex: 0, takeoverPpm },
		takeover: { fromMs: nowMs },
	};
}

/** The health of a Variant, compared with the others at the same time. */
export interface HealthVerdict {
	readonly healthy: boolean;
	readonly why: string;
}

/**
 * Healthy: enough requests, and a share of failures of at most TAKEOVER_FAILURE_SHARE, or not above that of the Service's
 * other Variants (a common dependency may fail).
 */
export function judgeHealth(
	health: readonly VariantHealth[],
	variant: string,
	requestsMin: number = TAKEOVER_REQUESTS_MIN,
): HealthVerdict {
	const own = health.find((entry) => entry.variant === variant);
	if (own === undefined || own.requests === 0) return { healthy: false, why: `variant ${variant} has no requests yet` };
	if (![own.requests, own.failures].every((count) => Number.isSafeInteger(count) && count >= 0))
		return { healthy: false, why: `what is counted of variant ${variant}'s requests are no counts` };
	const why = `variant ${variant} failed ${own.failures} of ${own.requests} requests`;
	if (own.requests < requestsMin) return { healthy: false, why: `${why}, needs ${requestsMin} requests` };
	const share = own.failures / own.requests;
	const others = health.filter((entry) => entry.variant !== variant);
	const requests = others.reduce((sum, entry) => sum + entry.requests, 0);
	const failures = others.reduce((sum, entry) => sum + entry.failures, 0);
	const excused = requests > 0 && share <= failures / requests && share <= TAKEOVER_EXCUSE_MAX;
	return { healthy: share <= TAKEOVER_FAILURE_SHARE || excused, why };
}

/**
 * The next step of a takeover. The last step switches the default Variant, which also covers traffic without a unit and
 * outside the slot. With a holdback it also switches the default, but a share of the baseline's units keeps the baseline.
 */
export function decideTakeover(input: DecisionInput, analysis: Analysis): Outcome {
	const { experiment, status, evidence, nowMs } = input;
	const { stepsPpm, everyMs, holdback } = experiment.spec.rollout;
	const { promotion } = status;
	const outcome = (action: Outcome["action"], explanation: Explanation, extras: Extras): Outcome =>
		outcomeOf(input, analysis, [action, "takeover"], explanation, extras);
	if (promotion === null)
		return outcome(
			"hold",
			{
				reason: "The phase is Promoting, but the status names no winner; a person aborts.",
				summary: "A person must abort: the winner is not known.",
			},
			{ waitsFor: "person" },
		);
	const at = percent(promotion.takeoverPpm);
	const spent = nowMs - status.stepStartedAtMs;
	const left = Math.max(0, everyMs - spent);
	const stepsLeft = Math.max(1, stepsPpm.length - 1 - promotion.stepIndex);
	if (left > 0)
		return outcome(
			"hold",
			{
				reason: `Takeover by ${promotion.variant} at ${at}: ${duration(left)} of this step are left.`,
				summary: `${promotion.variant} takes over and is at ${at}; this step lasts ${duration(left)} more.`,
			},
			{ expectedMs: left + (stepsLeft - 1) * everyMs, waitsFor: "takeover-time" },
		);
	const requestsMin = spent >= TAKEOVER_PATIENCE_STEPS * everyMs ? 1 : TAKEOVER_REQUESTS_MIN;
	const { healthy, why } = judgeHealth(evidence.health, promotion.variant, requestsMin);
	if (!healthy)
		return outcome(
			"hold",
			{
				reason: `Takeover by ${promotion.variant} waits at ${at} for healthy endpoints: ${why}.`,
				summary: `${promotion.variant} takes over and waits at ${at}, because ${why}.`,
			},
			{ waitsFor: "takeover-health" },
		);
	const declared = PPM - (holdback?.sharePpm ?? 0);
	// Units with the winner keep it, even if an edit increases the holdback.
	const most = Math.max(declared, promotion.takeoverPpm);
	const next = Math.min(stepsPpm[promotion.stepIndex + 1] ?? PPM, most);
	if (next < most)
		return outcome(
			"advance-takeover",
			{
				reason: `Takeover by ${promotion.variant} from ${at} to ${percent(next)}: ${why}.`,
				summary: `${promotion.variant} takes over: now ${percent(next)} instead of ${at}.`,
			},
			{
				status: {
					...status,
					stepStartedAtMs: nowMs,
					promotion: { ...promotion, stepIndex: promotion.stepIndex + 1, takeoverPpm: next },
				},
				expectedMs: (stepsLeft - 1) * everyMs,
			},
		);
	if (holdback === null) return completion(input, analysis, `${why} at ${at}`);
	const share = percent(PPM - most);
	const fewer = most === declared ? "" : ` (${percent(PPM - declared)} are declared, but no user is taken back)`;
	// null if the winner is the default already.
	const replaced = uncompared(experiment, promotion.arm, input.replaces);
	return outcome(
		"advance-takeover",
		{
			reason: `Takeover by ${promotion.variant} from ${at} to all but ${share} of the baseline's units${fewer}, which stay for ${duration(holdback.forMs)}; it is the Service's default now: ${why}. Only units first exposed from here on are judged.`,
			summary: `All users get ${promotion.variant} now, except ${share} of the people who had the old version: they keep it for ${duration(holdback.forMs)}, so that a late effect is seen in the people who come from now on.`,
		},
		{
			status: {
				...status,
				// Closed, so that the other challengers' units get the default Variant.
				closedArms: experiment.spec.arms
					.filter(({ baseline, name }) => !baseline && name !== promotion.arm)
					.map(({ name }) => name),
				stepStartedAtMs: nowMs,
				promotion: {
					...promotion,
					stepIndex: Math.min(promotion.stepIndex + 1, stepsPpm.length - 1),
					takeoverPpm: most,
					heldBackFromMs: nowMs,
					...(replaced === null ? {} : { replaced }),
				},
				...(status.takeover !== undefined
					? { takeover: { ...status.takeover, heldBack: { fromMs: nowMs, sharePpm: PPM - most } } }
					: {}),
			},
			defaultVariant: promotion.variant,
			expectedMs: holdback.forMs,
		},
	);
}

/** The end of a promotion. @param plain more text for the summary */
export function completion(input: DecisionInput, analysis: Analysis, why: string, plain = ""): Outcome {
	const { status, experiment, nowMs } = input;
	const variant = status.promotion?.variant ?? "";
	return outcomeOf(
		input,
		analysis,
		["complete", "takeover"],
		{
			reason: `Variant ${variant} is the Service's default now: ${why}.`,
			summary: `all users get ${variant} now${plain === "" ? "" : `: ${plain}`}.`,
		},
		{ status: completedStatus(experiment, status, nowMs), defaultVariant: variant },
	);
}

/** The default Variant before a holdback's winner; a rollback restores it. */
export function replacedVariant(experiment: Experiment, { promotion }: ExperimentStatus): string {
	return promotion?.replaced ?? baselineVariant(experiment);
}

/** The status after a takeover. @throws RangeError without a winner */
export function completedStatus(experiment: Experiment, status: ExperimentStatus, nowMs: number): ExperimentStatus {
	const { promotion } = status;
	if (promotion === null) throw new RangeError("a takeover without a winner has no end");
	const { heldBackFromMs: _, replaced: __, ...rest } = promotion;
	const last = experiment.spec.rollout.stepsPpm.length - 1;
	return {
		...status,
		phase: "Promoted",
		allocationPpm: 0,
		stepStartedAtMs: nowMs,
		promotion: { ...rest, stepIndex: Math.min(promotion.stepIndex + 1, last), takeoverPpm: PPM },
	};
}
