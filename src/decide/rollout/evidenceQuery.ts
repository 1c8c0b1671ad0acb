/** The evidence query of one experiment, from its declaration and status. Pure. */

import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import { inNamespace, serviceOf } from "../../declare/resources/lookup.js";
import { type Experiment, type Metric, qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { settleMs } from "../../declare/resources/settle.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";
import type {
	Evidence,
	EvidenceMetric,
	EvidenceQuery,
	PartOfArm,
	SlowThreshold,
} from "../../infer/statistics/evidence.js";
import { baselineOf } from "../../infer/statistics/question.js";
import { inParts, together, withoutParts } from "./gridEvidence.js";
import type { State } from "./ports.js";
import { type ExperimentStatus, type FrozenThreshold, heldBackOf, isExposing } from "./status.js";

/** Other Experiments that a promotion is checked against: each needs a join over all units and a part of alpha. */
const INTERACTIONS_MAX = 10;

/** Longest window of a takeover's health check. */
const HEALTH_WINDOW_MS = 60_000;

/** A latency threshold is frozen from the default Variant's requests, beginning this long before the start. */
const THRESHOLD_LOOKBACK_MS = 600_000;

/** Start of the rows that are read to freeze a metric's threshold. */
export function freezingSinceMs({ refreezes, startedAtMs }: ExperimentStatus, metric: string): number {
	return refreezes?.[metric]?.sinceMs ?? Math.max(0, startedAtMs - THRESHOLD_LOOKBACK_MS);
}

/** The Metrics of the goal and guardrails, from the experiment's namespace; unknown names are absent. */
export function metricsOf(resources: ResourceSet, experiment: Experiment): Record<string, Metric> {
	const names = new Set(claimedMetrics(experiment));
	const found = resources.metrics.filter(
		({ metadata }) => metadata.namespace === experiment.metadata.namespace && names.has(metadata.name),
	);
	return Object.fromEntries(found.map((metric) => [metric.metadata.name, metric]));
}

export function evidenceQuery(
	resources: ResourceSet,
	experiment: Experiment,
	status: ExperimentStatus,
	nowMs: number,
	interactsWith: readonly string[] = [],
): EvidenceQuery {
	const service = resources.services.find(
		({ metadata }) => metadata.name === experiment.spec.service && metadata.namespace === experiment.metadata.namespace,
	);
	const timeoutMs = service?.spec.timeoutMs ?? 0;
	const heldBack = heldBackOf(status);
	const metrics = Object.values(metricsOf(resources, experiment)).flatMap((metric): readonly EvidenceMetric[] => {
		const { source, windowMs, missing, perUnit, denominator, covariateMs, cap, type, range } = metric.spec;
		const frozen = status.thresholds[metric.metadata.name];
		const asked: EvidenceMetric = {
			// As in outcomes; localEvidence() maps it back.
			name: qualifiedName(metric.metadata),
			source,
			windowMs,
			settleMs: settleMs(source, timeoutMs),
			missing,
			perUnit,
			denominator:
				denominator === null || denominator === "requests"
					? denominator
					: { metric: qualifiedName({ ...metric.metadata, name: denominator.metric }) },
			// As in holdbackQuestions().
			covariateMs: heldBack === null ? covariateMs : null,
			cap: capOf(cap, frozen),
			threshold: type !== "quantile" ? null : frozen === undefined ? "unfrozen" : slowThreshold(experiment, frozen),
			range: type === "mean" ? range : null,
		};
		return inParts(asked, experiment, metric.metadata.name, frozen?.gridMs);
	});
	return {
		experiment: qualifiedName(experiment.metadata),
		service: serviceOf(experiment),
		metrics,
		healthSinceMs: Math.max(status.stepStartedAtMs, nowMs - HEALTH_WINDOW_MS),
		segments: experiment.spec.segments.map((segment) => segment.name),
		interactsWith,
		...(status.shares === undefined ? {} : { coreFromMs: status.shares.firstMovedAtMs }),
		...(heldBack === null ? {} : { exposedAfterMs: heldBack.fromMs }),
		...(heldBack !== null || status.takeover === undefined ? {} : { closeUntilMs: status.takeover.fromMs }),
	};
}

/**
 * Qualified names of the other Experiments of the namespace that share units with this one now: exposing, by the same unit, in
 * another layer (slots of one layer are disjoint). At most INTERACTIONS_MAX: the same Service first, then by name. Other
 * namespaces are excluded, because readers of this namespace see the result.
 */
export function sharingUnits({ resources, status }: Pick<State, "resources" | "status">, own: Experiment): string[] {
	const elsewhere = (other: Experiment): number => (other.spec.service === own.spec.service ? 0 : 1);
	const unit = canonicalJson(own.spec.unit);
	return inNamespace(resources.experiments, own.metadata.namespace)
		.filter((other) => {
			const phase = status.experiments[qualifiedName(other.metadata)]?.phase;
			if (phase === undefined || !isExposing(phase) || other.spec.layer.name === own.spec.layer.name) return false;
			return canonicalJson(other.spec.unit) === unit;
		})
		.map((other) => ({ name: qualifiedName(other.metadata), order: elsewhere(other) }))
		.sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1))
		.slice(0, INTERACTIONS_MAX)
		.map(({ name }) => name);
}

function slowThreshold(
	experiment: Experiment,
	{ thresholdMs, referenceMs, frozenAtMs }: FrozenThreshold,
): SlowThreshold {
	return {
		thresholdMs,
		baseline: { arm: baselineOf(experiment), thresholdMs: referenceMs ?? thresholdMs },
		frozenAtMs,
	};
}

/** A declared value applies from the start; a quantile only after it was frozen. */
function capOf(cap: Metric["spec"]["cap"], frozen: FrozenThreshold | undefined): EvidenceMetric["cap"] {
	if (cap === null) return null;
	if ("value" in cap) return { value: cap.value, frozenAtMs: 0 };
	return frozen === undefined ? "unfrozen" : { value: frozen.thresholdMs, frozenAtMs: frozen.frozenAtMs };
}

/**
 * Evidence with each metric under the name that the experiment uses. The store uses qualified names.
 */
export function localEvidence(evidence: Evidence, metrics: Readonly<Record<string, Metric>>): Evidence {
	const local = new Map(Object.entries(metrics).map(([name, metric]) => [qualifiedName(metric.metadata), name]));
	const quantiles = new Set(
		Object.values(metrics).flatMap(({ metadata, spec }) => (spec.type === "quantile" ? [qualifiedName(metadata)] : [])),
	);
	const part = <Part extends PartOfArm>(arm: Part): Part => ({
		...arm,
		metrics: renamed(together(arm.metrics, quantiles)),
	});
	const renamed = <Value>(record: Readonly<Record<string, Value>>): Record<string, Value> =>
		Object.fromEntries(Object.entries(record).map(([name, value]) => [local.get(name) ?? name, value]));
	return {
		...evidence,
		arms: evidence.arms.map((arm) => ({
			...arm,
			metrics: renamed(together(arm.metrics, quantiles)),
			missingUnits: renamed(withoutParts(arm.missingUnits, quantiles)),
		})),
		segments: evidence.segments.map((segment) => ({ ...segment, arms: segment.arms.map(part) })),
		periods: evidence.periods.map((period) => ({ ...period, arms: period.arms.map(part) })),
		interactions: evidence.interactions.map((other) => ({ ...other, cells: other.cells.map(part) })),
		newestOutcomeMs: renamed(evidence.newestOutcomeMs),
		...(evidence.unreadable === undefined
			? {}
			: { unreadable: evidence.unreadable.map((name) => local.get(name) ?? name) }),
	};
}
