/**
 * What an Experiment is judged by: the Metrics that its goal and its guardrails name, and those that these name, which is the
 * denominator of a ratio. Outcomes are taken by the Metric of their own name (its senders, its range) and add up in the ratio
 * (events/evidence/aggregateSql.ts), so that what may not happen to a goal may not happen to its denominator either. Pure.
 */
import { allNamed, inOrder } from "./lookup.js";
import type { Named } from "./position.js";
import { referencesOf } from "./reference.js";
import { type Experiment, type Metric, qualifiedName } from "./resource.js";

/**
 * Qualified names, each once; also of Metrics that are not there.
 * @param metrics of a change those before and after: what was a denominator, or is going to be one, counts
 */
export function metricsJudging(experiment: Experiment, ...metrics: readonly (readonly Metric[])[]): readonly string[] {
	const named = namedBy(experiment);
	const further = metrics.flatMap((all) =>
		inOrder(
			named.flatMap((metadata) => allNamed(all, metadata)),
			all,
		),
	);
	return [...new Set([...named, ...further.flatMap(namedBy)].map(qualifiedName))];
}

const namedBy = (one: Experiment | Metric): readonly Named["metadata"][] =>
	referencesOf(one).flatMap(({ to }) => (to.kind === "Metric" ? [to.metadata] : []));
