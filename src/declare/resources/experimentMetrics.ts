/**
 * The Metrics that an Experiment is evaluated by: its goal, its guardrails, and their denominators. Outcomes are
 * accepted per Metric and combined in the ratio (events/evidence/aggregateSql.ts), so the rules of a goal apply to its
 * denominator. Pure.
 */
import { allNamed, inOrder } from "./lookup.js";
import type { Named } from "./position.js";
import { referencesOf } from "./reference.js";
import { type Experiment, type Metric, qualifiedName } from "./resource.js";

/**
 * Unique qualified names, also of missing Metrics.
 * @param metrics for a change, those before and after it: a denominator in either counts
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
