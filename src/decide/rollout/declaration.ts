/**
 * The effect of applied resources on the status. An unchanged resource has none; a changed field takes precedence and is
 * recorded as a decision. Pure. Validation has already rejected changes of fields that are immutable during a run.
 */

import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import type { Experiment, Service } from "../../declare/resources/resource.js";
import { claimedMetrics, latencyThresholdMs } from "../../infer/statistics/claim.js";
import type { Outcome } from "./decision.js";
import { percent } from "./sentence.js";
import {
	type ExperimentStatus,
	type FrozenThreshold,
	initialStatus,
	type Refreeze,
	type ServiceStatus,
} from "./status.js";

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

/** A new experiment: Running at its first step. */
export function startExperiment(experiment: Experiment, nowMs: number): Outcome {
	const status = initialStatus(experiment.spec.rollout.stepsPpm, nowMs);
	const arms = experiment.spec.arms.map((arm) => arm.name).join(", ");
	return outcome("start", `Started at ${percent(status.allocationPpm)} with arms ${arms}.`, status);
}

/**
 * The decision for an applied Experiment; null = no change.
 * @param before the stored resource; null = none
 * @param status null = it never ran
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
	const refreezes = { ...status.refreezes, ...refrozen(status.thresholds, thresholds) };
	const moved =
		adjusted.allocationPpm === status.allocationPpm
			? `at ${percent(status.allocationPpm)}`
			: `from ${percent(status.allocationPpm)} to ${percent(adjusted.allocationPpm)}`;
	const gone = claimedMetrics(before).filter((name) => !claimedMetrics(after).includes(name));
	const anew = thresholdsLost(before, after, status);
	const again =
		anew.length === 0
			? ""
			: ` ${anew.join(", ")} will be frozen anew: what was measured by the old thresholds is left out, and the alpha that it had stays spent.`;
	const less = gone.length === 0 ? "" : ` Nothing is judged by ${gone.join(", ")} any more.`;
	return outcome(
		"hold",
		`The declaration changed ${changed.join(", ")}; the experiment goes on ${moved}.${less}${again}`,
		{
			...adjusted,
			thresholds,
			...(Object.keys(refreezes).length === 0 ? {} : { refreezes }),
		},
	);
}

/**
 * The last step at or below the live allocation: a changed declaration never exposes more units by itself. If all steps are
 * above it, the allocation stays, and the first step is next, with the usual rules and gates.
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

/** Metrics that are still claimed but lose their threshold by the edit. */
function thresholdsLost(
	before: Experiment,
	after: Experiment,
	{ thresholds }: Pick<ExperimentStatus, "thresholds">,
): readonly string[] {
	const [kept, claimed] = [stillValid(before, after, thresholds), claimedMetrics(after)];
	return Object.keys(thresholds).filter((name) => kept[name] === undefined && claimed.includes(name));
}

/** Thresholds whose margin is unchanged. The others were computed from it, and are frozen again. */
function stillValid(
	before: Experiment,
	after: Experiment,
	thresholds: Readonly<Record<string, FrozenThreshold>>,
): Readonly<Record<string, FrozenThreshold>> {
	// Two, because at one value an absolute and a relative margin may be equal.
	const PROBES_MS = [1_000, 2_000];
	return Object.fromEntries(
		Object.entries(thresholds).filter(([name]) =>
			PROBES_MS.every((ms) => latencyThresholdMs(before, name, ms) === latencyThresholdMs(after, name, ms)),
		),
	);
}

/** An edit that drops a threshold ends its era: that era's share of alpha is spent. */
function refrozen(
	before: Readonly<Record<string, FrozenThreshold>>,
	after: Readonly<Record<string, FrozenThreshold>>,
): Readonly<Record<string, Refreeze>> {
	return Object.fromEntries(
		Object.entries(before).flatMap(([name, { era, referenceMs, frozenAtMs }]): [string, Refreeze][] =>
			after[name] !== undefined || era === undefined || referenceMs === undefined
				? []
				: [[name, { era: era + 1, sinceMs: frozenAtMs, formerMs: referenceMs, because: "declaration" }]],
		),
	);
}

/**
 * Whether an applied Service ends a promotion: its defaultVariant changes, or the promoted Variant is no longer declared (it
 * would come back when declared again). Returns the reason; null = the promotion stays, or there is none.
 */
export function applyService(before: Service | null, after: Service, status: ServiceStatus | null): string | null {
	if (before === null || status === null) return null;
	const { defaultVariant: promoted } = status;
	const { defaultVariant } = after.spec;
	if (before.spec.defaultVariant !== defaultVariant)
		return `The declaration sets the default variant to ${defaultVariant}; the promoted ${promoted} no longer applies.`;
	const declares = ({ spec }: Service): boolean => spec.variants.some(({ name }) => name === promoted);
	if (declares(before) && declares(after)) return null;
	return `Variant ${promoted}, which was promoted, is declared no more; the default variant is ${defaultVariant}.`;
}
