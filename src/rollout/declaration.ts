/**
 * What applying resources does to what Weir has learned. Re-applying an unchanged resource does nothing; a changed
 * field wins and is recorded as a person's decision. Pure; fields that may not change while an experiment runs are
 * refused before, by validation.
 */
import { latencyThresholdMs } from "../analysis/claim.js";
import type { Experiment, Service } from "../resources/resource.js";
import { canonicalJson } from "./canonicalJson.js";
import type { Outcome } from "./decision.js";
import { percent } from "./sentence.js";
import { type ExperimentStatus, type FrozenThreshold, initialStatus, type ServiceStatus } from "./status.js";

function outcome(action: Outcome["action"], reason: string, status: ExperimentStatus): Outcome {
	return {
		action,
		rule: "declaration",
		reason,
		summary: reason,
		findings: [],
		srmP: null,
		status,
		defaultVariant: null,
		expectedMs: null,
	};
}

/** An experiment seen for the first time: Running at its first step. */
export function startExperiment(experiment: Experiment, nowMs: number): Outcome {
	const status = initialStatus(experiment.spec.rollout.stepsPpm, nowMs);
	const arms = experiment.spec.arms.map((arm) => arm.name).join(", ");
	return outcome("start", `Started at ${percent(status.allocationPpm)} with arms ${arms}.`, status);
}

/**
 * The decision that an applied Experiment makes, or null where nothing changes. `before` is the stored resource,
 * null the first time; `status` null where it never ran.
 */
export function applyExperiment(
	before: Experiment | null,
	after: Experiment,
	status: ExperimentStatus | null,
	nowMs: number,
): Outcome | null {
	if (status === null) return startExperiment(after, nowMs);
	if (before === null) return null;
	const changed = (["rollout", "goal", "guardrails"] as const).filter(
		(field) => canonicalJson(before.spec[field]) !== canonicalJson(after.spec[field]),
	);
	if (changed.length === 0) return null;
	const adjusted = changed.includes("rollout") ? onSteps(after, status, nowMs) : status;
	const thresholds = stillValid(before, after, status.thresholds);
	// A look that was taken at another goal, or by another plan, proves nothing of this one.
	const samePlan =
		canonicalJson([before.spec.goal, before.spec.rollout.inference]) ===
		canonicalJson([after.spec.goal, after.spec.rollout.inference]);
	const { looks, ...rest } = adjusted;
	const moved =
		adjusted.allocationPpm === status.allocationPpm
			? `at ${percent(status.allocationPpm)}`
			: `from ${percent(status.allocationPpm)} to ${percent(adjusted.allocationPpm)}`;
	return outcome("hold", `The declaration changed ${changed.join(", ")}; the experiment goes on ${moved}.`, {
		...rest,
		...(looks === undefined || !samePlan ? {} : { looks }),
		thresholds,
	});
}

/**
 * The last step that is not above the live allocation: a changed declaration never exposes more units by itself. Where
 * every step is above it, the allocation stays, and the first step comes next, by the rules and gates of any step.
 */
function onSteps(experiment: Experiment, status: ExperimentStatus, nowMs: number): ExperimentStatus {
	const { stepsPpm } = experiment.spec.rollout;
	const lastAtMost = (ppm: number): number => stepsPpm.findLastIndex((step) => step <= ppm);
	if (status.promotion !== null)
		return { ...status, promotion: { ...status.promotion, stepIndex: lastAtMost(status.promotion.takeoverPpm) } };
	if (status.phase !== "Running" && status.phase !== "Paused") return status;
	const stepIndex = lastAtMost(status.allocationPpm);
	const allocationPpm = stepsPpm[stepIndex] ?? status.allocationPpm;
	const stepStartedAtMs = allocationPpm === status.allocationPpm ? status.stepStartedAtMs : nowMs;
	return { ...status, stepIndex, allocationPpm, stepStartedAtMs };
}

/** Thresholds whose margin is unchanged; the others are frozen anew, for they were computed from it. */
function stillValid(
	before: Experiment,
	after: Experiment,
	thresholds: Readonly<Record<string, FrozenThreshold>>,
): Readonly<Record<string, FrozenThreshold>> {
	const PROBE_MS = 1_000;
	return Object.fromEntries(
		Object.entries(thresholds).filter(
			([name]) => latencyThresholdMs(before, name, PROBE_MS) === latencyThresholdMs(after, name, PROBE_MS),
		),
	);
}

/**
 * A changed defaultVariant of a Service after a promotion: the field wins, the learned default goes. The reason, or
 * null where the field is unchanged (then the promotion stays) or nothing was learned.
 */
export function applyService(before: Service | null, after: Service, status: ServiceStatus | null): string | null {
	if (before === null || status === null || before.spec.defaultVariant === after.spec.defaultVariant) return null;
	return `The declaration sets the default variant to ${after.spec.defaultVariant}; the promoted ${status.defaultVariant} no longer applies.`;
}
