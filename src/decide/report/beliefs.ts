/**
 * Chance to win and expected loss by the goal's metric, as Bayesians speak. For reading, never for deciding: these
 * numbers do not hold at all looks. Flat priors, where one arm's belief knows nothing of another's; and beside them the
 * chance to beat the baseline for a sceptic, for whom a few early units are no proof.
 */

import type { Effect, Metric } from "../../declare/resources/resource.js";
import { effectBelief } from "../../infer/statistics/bayes/effect.js";
import type { ArmPosteriors, BetaPosterior, GaussianPosterior } from "../../infer/statistics/bayes/posterior.js";
import { betaPosterior, PRIOR_UNIFORM } from "../../infer/statistics/bayes/posterior.js";
import { ranking } from "../../infer/statistics/bayes/ranking.js";
import { levelsOf } from "../../infer/statistics/compareMeans.js";
import type { Evidence, MetricEvidence } from "../../infer/statistics/evidence.js";
import { baselineOf, isRelative, signOf } from "../../infer/statistics/question.js";
import { problemOf } from "../../infer/statistics/statistics/moments.js";
import type { ReportInput } from "./reportInput.js";

export interface Beliefs {
	readonly metric: string;
	readonly arms: readonly {
		readonly arm: string;
		readonly baseline: boolean;
		/** Chance that it is the best of all arms. */
		readonly chanceToWin: number;
		/** What choosing it costs on average against the arm that is truly best, in the metric's unit. */
		readonly expectedLoss: number;
		/** null: it is the baseline, or the moments alone do not give the effect. */
		readonly againstBaseline: ChanceToBeat | null;
	}[];
}

export interface ChanceToBeat {
	/** By a flat prior of the effect, on the goal's own scale. */
	readonly flat: number;
	/**
	 * By a normal prior about no effect, as wide as the improvement that was declared: an effect of that size is as
	 * believable beforehand for the worse as for the better. null: none was declared.
	 */
	readonly sceptic: number | null;
}

/**
 * null where no goal is declared, or some arm's data are not usable. An arm of weight 0 that has none is not among
 * the others.
 */
export function beliefsOf({ experiment, metrics }: ReportInput, evidence: Evidence): Beliefs | null {
	const { goal } = experiment.spec;
	const metric = goal === null ? undefined : metrics[goal.metric];
	if (goal === null || metric === undefined) return null;
	const of = (name: string) => evidence.arms.find(({ arm }) => arm === name)?.metrics[goal.metric];
	const baseline = of(baselineOf(experiment));
	const isUsable = (own: MetricEvidence | undefined) => own !== undefined && own.n >= 2 && problemOf(own) === "";
	const arms = experiment.spec.arms.filter(({ name, weight }) => weight > 0 || isUsable(of(name)));
	const seen = arms.flatMap(({ name }) => of(name) ?? []).filter(isUsable);
	if (baseline === undefined || seen.length !== arms.length) return null;
	const posteriors = isShare(metric) ? shares(seen) : levels(metric, seen, baseline);
	if (posteriors === null) return null;
	const { best, loss } = ranking(posteriors, signOf(metric) === 1 ? "up" : "down");
	return {
		metric: goal.metric,
		arms: arms.map((arm, index) => ({
			arm: arm.name,
			baseline: arm.baseline,
			chanceToWin: best[index] ?? Number.NaN,
			expectedLoss: loss[index] ?? Number.NaN,
			againstBaseline: arm.baseline ? null : chanceToBeat(metric, goal.improveBy, seen[index], baseline),
		})),
	};
}

function chanceToBeat(
	metric: Metric,
	improveBy: Effect,
	challenger: MetricEvidence | undefined,
	baseline: MetricEvidence,
): ChanceToBeat | null {
	// The moments of a ratio are those of its numerator.
	if (challenger === undefined || metric.spec.type === "ratio") return null;
	const scale = isRelative({ metric, effect: improveBy }) ? "relative" : "absolute";
	const direction = signOf(metric) === 1 ? "up" : "down";
	const flat = effectBelief(challenger, baseline, scale, null, direction);
	if (flat === null) return null;
	// The size of a quantile's effect lies in its threshold, not in the share of slow requests.
	const declared = metric.spec.type !== "quantile" && improveBy.value > 0;
	const prior = declared ? { scale: improveBy.kind, mean: 0, sd: improveBy.value } : null;
	const sceptic = prior === null ? null : effectBelief(challenger, baseline, scale, prior, direction);
	return { flat: flat.chanceToWin, sceptic: sceptic?.chanceToWin ?? null };
}

function isShare({ spec }: Metric): boolean {
	return spec.type === "rate" || spec.type === "quantile" || (spec.source === "errors" && spec.type !== "ratio");
}

function shares(seen: readonly MetricEvidence[]): ArmPosteriors | null {
	if (seen.some(({ mean }) => !(mean >= 0 && mean <= 1))) return null;
	const arms = seen.map(({ n, mean }): BetaPosterior => betaPosterior({ n, sum: n * mean }, PRIOR_UNIFORM));
	return { family: "beta", arms };
}

/** By the levels as they were: what a covariate takes away differs from pair to pair, and many arms are no pair. */
function levels(metric: Metric, seen: readonly MetricEvidence[], baseline: MetricEvidence): ArmPosteriors | null {
	const arms = seen.flatMap((own): GaussianPosterior[] => {
		const found = levelsOf({ metric }, own, baseline);
		if ("note" in found) return [];
		const { value, variance } = found.challenger.raw;
		return variance > 0 && Number.isFinite(value) ? [{ mean: value, sd: Math.sqrt(variance) }] : [];
	});
	return arms.length === seen.length ? { family: "gaussian", arms } : null;
}
