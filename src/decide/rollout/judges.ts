/** The Experiments that use a Metric. Ingest keeps the rows that they have not read yet. */

import { serviceOf } from "../../declare/resources/lookup.js";
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";
import { freezingSinceMs } from "./evidenceQuery.js";
import type { State } from "./ports.js";
import { quantileToFreeze } from "./rules/freezeThreshold.js";
import { type ExperimentStatus, heldBackOf, isExposing } from "./status.js";

/** An Experiment that reads the Metric's rows periodically. */
export interface Judge {
	/** Qualified name, as evidence queries give it. */
	readonly experiment: string;
	/** Qualified name of its Service. Latency thresholds are frozen from its requests. */
	readonly service: string;
	/** Rows since then are read to freeze the Metric's threshold or cap; null = none is to be frozen. */
	readonly freezingSinceMs: number | null;
}

/** By the qualified name of the Metric. */
export function judgesOf({
	resources,
	status,
}: Pick<State, "resources" | "status">): ReadonlyMap<string, readonly Judge[]> {
	const toFreeze = frozenMetrics(resources);
	const judges = new Map<string, Judge[]>();
	for (const experiment of resources.experiments) {
		const name = qualifiedName(experiment.metadata);
		const own = status.experiments[name];
		if (!closesUnits(own)) continue;
		for (const metric of new Set(claimedMetrics(experiment))) {
			const claimed = qualifiedName({ ...experiment.metadata, name: metric });
			const since = toFreeze.has(claimed) ? unfrozenSinceMs(own, metric) : null;
			const others = judges.get(claimed) ?? [];
			others.push({ experiment: name, service: serviceOf(experiment), freezingSinceMs: since });
			judges.set(claimed, others);
		}
	}
	return judges;
}

const frozenMetrics = ({ metrics }: ResourceSet): ReadonlySet<string> =>
	new Set(metrics.filter((metric) => quantileToFreeze(metric) !== null).map(({ metadata }) => qualifiedName(metadata)));

/** Whether it still has units to evaluate: during a takeover only those of its holdback. */
function closesUnits(status: ExperimentStatus | undefined): boolean {
	if (status === undefined || isExposing(status.phase)) return true;
	return status.phase === "Promoting" && heldBackOf(status) !== null;
}

function unfrozenSinceMs(status: ExperimentStatus | undefined, metric: string): number | null {
	if (status === undefined || !isExposing(status.phase) || status.thresholds[metric] !== undefined) return null;
	return freezingSinceMs(status, metric);
}
