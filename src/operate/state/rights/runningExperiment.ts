/**
 * Changes that take `promote`. While an Experiment runs, its spec, its Service's default Variant and the Metrics that judge it
 * decide which Variant people get, as a promotion does. Such a change waits where promotions wait. A step down takes `apply`
 * alone, because it only returns people to the default Variant.
 */
import { isDeepStrictEqual } from "node:util";
import type { State } from "../../../decide/rollout/ports.js";
import { isOver } from "../../../decide/rollout/status.js";
import { metricsJudging } from "../../../declare/resources/experimentMetrics.js";
import { experimentsOfName, grouping } from "../../../declare/resources/lookup.js";
import { resourceTitle } from "../../../declare/resources/position.js";
import { type Experiment, qualifiedName } from "../../../declare/resources/resource.js";
import type { ResourceDiff } from "../../changes/changeSet.js";
import type { Need } from "./permissions.js";

export function promoteNeeds(
	{ resources, status }: Pick<State, "resources" | "status">,
	diffs: readonly ResourceDiff[],
): readonly Need[] {
	const statusOf = (one: Experiment) => status.experiments[qualifiedName(one.metadata)];
	const isRunning = (one: Experiment): boolean => !isOver(statusOf(one)?.phase ?? "Aborted");
	const running = resources.experiments.filter(isRunning);
	const byMetric = grouping<Experiment>((one) => metricsJudging(one, resources.metrics));
	return diffs.flatMap(({ before, after }): readonly Need[] => {
		if (before === null || after === null) return [];
		const name = qualifiedName(before.metadata);
		const needs = (affected: readonly Experiment[], changed: string): readonly Need[] =>
			affected.map((one) => ({
				verb: "promote",
				namespace: one.metadata.namespace,
				to: `change ${changed} of ${resourceTitle(one)}, which is running`,
			}));
		if (before.kind === "Experiment" && after.kind === "Experiment") {
			const isFree = !isRunning(before) || isDeepStrictEqual(before.spec, after.spec);
			return isFree || isStepDown(before, after, statusOf(before)?.allocationPpm ?? 0)
				? []
				: needs([before], "the spec");
		}
		if (
			before.kind === "Service" &&
			after.kind === "Service" &&
			before.spec.defaultVariant !== after.spec.defaultVariant
		)
			return needs(experimentsOfName(running, name), "the default Variant of the Service");
		if (before.kind === "Metric" && !isDeepStrictEqual(before.spec, after.spec))
			return needs(byMetric(running).get(name) ?? [], "a Metric");
		return [];
	});
}

/** Nothing but the steps changes, and none of them is above the live allocation. */
function isStepDown({ spec: was }: Experiment, { spec: is }: Experiment, livePpm: number): boolean {
	const withNewSteps = { ...was, rollout: { ...was.rollout, stepsPpm: is.rollout.stepsPpm } };
	return isDeepStrictEqual(withNewSteps, is) && is.rollout.stepsPpm.every((step) => step <= livePpm);
}
