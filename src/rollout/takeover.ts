/**
 * The takeover after a promotion: the winner's variant receives the other entries' points step by step, each step
 * gated on healthy endpoints, until the Service's default Variant is the winner's.
 */
import type { VariantHealth } from "../analysis/evidence.js";
import { PPM } from "../limits.js";
import type { Experiment } from "../resources/resource.js";
import type { DecisionInput, Outcome } from "./decision.js";
import { duration, percent } from "./sentence.js";
import type { ExperimentStatus } from "./status.js";

/** Fewer requests than these say little about endpoints that shall carry everything. */
const TAKEOVER_REQUESTS_MIN = 20;
/** A Service with too little traffic for that: after this many times the step's own time one request suffices. */
const TAKEOVER_PATIENCE_STEPS = 10;
/** Other Variants may excuse a winner's failures up to this share; beyond it nothing should be moved at all. */
const TAKEOVER_EXCUSE_MAX = 0.1;
/** Share of failures above which a winner's endpoints count as unhealthy, unless other Variants fail as often. */
const TAKEOVER_FAILURE_SHARE = 0.01;

/** The status that a promotion starts with: exposure counting ends, the first step is live. */
export function startTakeover(
	experiment: Experiment,
	status: ExperimentStatus,
	arm: string,
	nowMs: number,
): ExperimentStatus {
	const variant = experiment.spec.arms.find((candidate) => candidate.name === arm)?.variant ?? "";
	return {
		...status,
		phase: "Promoting",
		hold: null,
		stepStartedAtMs: nowMs,
		promotion: { arm, variant, stepIndex: 0, takeoverPpm: experiment.spec.rollout.stepsPpm[0] ?? PPM },
	};
}

/** The health of a Variant, judged against the others in the same moments. */
export interface HealthVerdict {
	readonly healthy: boolean;
	readonly why: string;
}

/**
 * Healthy: it answered enough requests, and its failures are at most TAKEOVER_FAILURE_SHARE of them, or a few more
 * but no larger a share than that of the Service's other Variants (a common dependency that fails is not the winner's).
 */
export function judgeHealth(
	health: readonly VariantHealth[],
	variant: string,
	requestsMin: number = TAKEOVER_REQUESTS_MIN,
): HealthVerdict {
	const own = health.find((entry) => entry.variant === variant);
	if (own === undefined || own.requests === 0) return { healthy: false, why: `variant ${variant} has no requests yet` };
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
 * The next step of a takeover. The step that reaches 100 % is the switch of the default Variant itself, which also
 * takes the traffic without a unit and outside the slot; steps that end below 100 % are followed by that switch.
 */
export function decideTakeover(input: DecisionInput): Outcome {
	const { experiment, status, evidence, nowMs } = input;
	const { stepsPpm, everyMs } = experiment.spec.rollout;
	const promotion = status.promotion;
	const base = { findings: [], srmP: null, defaultVariant: null, expectedMs: null } as const;
	if (promotion === null)
		return {
			...base,
			action: "hold",
			rule: "takeover",
			reason: "The status says Promoting but names no winner; a person aborts.",
			status,
			waitsFor: "person",
		};
	const at = percent(promotion.takeoverPpm);
	const spent = nowMs - status.stepStartedAtMs;
	const left = Math.max(0, everyMs - spent);
	const stepsLeft = Math.max(1, stepsPpm.length - 1 - promotion.stepIndex);
	if (left > 0)
		return {
			...base,
			action: "hold",
			rule: "takeover",
			reason: `Takeover by ${promotion.variant} at ${at}: ${duration(left)} of this step are left.`,
			status,
			expectedMs: left + (stepsLeft - 1) * everyMs,
			waitsFor: "takeover-time",
		};
	const requestsMin = spent >= TAKEOVER_PATIENCE_STEPS * everyMs ? 1 : TAKEOVER_REQUESTS_MIN;
	const { healthy, why } = judgeHealth(evidence.health, promotion.variant, requestsMin);
	if (!healthy)
		return {
			...base,
			action: "hold",
			rule: "takeover",
			reason: `Takeover by ${promotion.variant} waits at ${at} for healthy endpoints: ${why}.`,
			status,
			waitsFor: "takeover-health",
		};
	const next = stepsPpm[promotion.stepIndex + 1];
	if (next === undefined || next >= PPM)
		return {
			...base,
			action: "complete",
			rule: "takeover",
			reason: `Variant ${promotion.variant} is the Service's default now: ${why} at ${at}.`,
			status: {
				...status,
				phase: "Promoted",
				allocationPpm: 0,
				stepStartedAtMs: nowMs,
				promotion: {
					...promotion,
					stepIndex: Math.min(promotion.stepIndex + 1, stepsPpm.length - 1),
					takeoverPpm: PPM,
				},
			},
			defaultVariant: promotion.variant,
		};
	return {
		...base,
		action: "advance-takeover",
		rule: "takeover",
		reason: `Takeover by ${promotion.variant} from ${at} to ${percent(next)}: ${why}.`,
		status: {
			...status,
			stepStartedAtMs: nowMs,
			promotion: { ...promotion, stepIndex: promotion.stepIndex + 1, takeoverPpm: next },
		},
		expectedMs: (stepsLeft - 1) * everyMs,
	};
}
