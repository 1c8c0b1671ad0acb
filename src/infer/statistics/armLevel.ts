/**
 * The level of one arm with anytime-valid bounds, exact for shares and asymptotic for means; and the side of its frozen
 * threshold on which a quantile lies. For display only: decisions use the comparison, whose bounds are not a difference of
 * these.
 */
import type { Metric } from "../../declare/resources/resource.js";
import { levelsOf } from "./compareMeans.js";
import { priorOf } from "./compareShares.js";
import { denominatorProblem } from "./estimators/denominators.js";
import { isNoEstimate } from "./estimators/estimate.js";
import type { MetricEvidence } from "./evidence.js";
import { methodOf } from "./question.js";
import { asympInterval, unitsProblem } from "./sequential/asympEstimate.js";
import { meanBounds } from "./sequential/betting.js";
import { quantileBounds } from "./sequential/quantileSequence.js";
import { shareBounds } from "./sequential/shareBounds.js";
import { problemOf } from "./statistics/moments.js";

export interface ArmLevel {
	/** A mean, a share or a ratio, without covariate adjustment. */
	readonly level: number | null;
	/** Two-sided at alpha; null = unknown, see note. */
	readonly lower: number | null;
	readonly upper: number | null;
	/** Why there are no bounds, or empty. */
	readonly note: string;
}

const ABSOLUTE = { kind: "absolute", value: 0 } as const;

/** For independent units with one value each. */
export function armLevel(metric: Metric, evidence: MetricEvidence, alpha: number): ArmLevel {
	const problem = evidence.n === 0 ? "no data" : problemOf(evidence);
	if (problem !== "") return { level: null, lower: null, upper: null, note: problem };
	switch (methodOf({ metric, effect: ABSOLUTE }, [evidence])) {
		case "betting":
			return bettingLevelOf(metric, evidence, alpha);
		case "bernoulli-mixture":
			return shareLevelOf(metric, evidence, alpha);
		case "asympcs":
			return meanLevelOf(metric, evidence, alpha);
	}
}

function shareLevelOf(metric: Metric, { n, mean }: MetricEvidence, alpha: number): ArmLevel {
	const { lo, hi } = metric.spec.range ?? { lo: 0, hi: 1 };
	const share = (mean - lo) / (hi - lo);
	if (!(share >= -1e-9 && share <= 1 + 1e-9))
		return { level: mean, lower: null, upper: null, note: `values outside [${lo}, ${hi}]` };
	const bounds = shareBounds({ n, sum: n * Math.min(1, Math.max(0, share)) }, alpha, priorOf({ metric }));
	return { level: mean, lower: lo + bounds.lower * (hi - lo), upper: lo + bounds.upper * (hi - lo), note: "" };
}

/** Also uses the variance of the values if their log-capital is known. */
function bettingLevelOf(metric: Metric, { n, mean, capital }: MetricEvidence, alpha: number): ArmLevel {
	const { lo, hi } = metric.spec.range ?? { lo: 0, hi: 1 };
	const unknown = (note: string): ArmLevel => ({ level: mean, lower: null, upper: null, note });
	if (capital === undefined) return unknown("no log-capital");
	if (capital.n !== n) return unknown(`values of ${n - capital.n} units are outside [${lo}, ${hi}]`);
	const bounds = meanBounds(capital, alpha / 2);
	if (isNoEstimate(bounds)) return unknown(bounds.reason);
	return { level: mean, lower: lo + bounds.lower * (hi - lo), upper: lo + bounds.upper * (hi - lo), note: "" };
}

function meanLevelOf(metric: Metric, evidence: MetricEvidence, alpha: number): ArmLevel {
	const found = levelsOf({ metric }, evidence, evidence);
	if ("note" in found) return { level: evidence.mean, lower: null, upper: null, note: found.note };
	const { value, variance } = found.challenger.raw;
	const few = unitsProblem(evidence.n, evidence.n);
	const rare = metric.spec.type === "ratio" ? denominatorProblem(evidence, evidence, alpha) : "";
	if (few !== "" || rare !== "") return { level: value, lower: null, upper: null, note: few || rare };
	const bounds = asympInterval({ value, variance, n: evidence.n }, { alpha });
	if (isNoEstimate(bounds)) return { level: value, lower: null, upper: null, note: bounds.reason };
	return { level: value, ...bounds, note: "" };
}

/** Units at which the test of a quantile's side is sharpest: about the first number that can give a result. */
const TUNED_AT = 2_000;

/**
 * Whether the q-quantile of an arm's latencies is "below" or "above" the threshold, from its units' shares of slow requests.
 * Anytime-valid at `alpha` for each side; null = no proof yet. All units count equally, whatever their number of requests.
 */
export function quantileSide(q: number, { n, mean }: MetricEvidence, alpha: number): "below" | "above" | null {
	const counts = { n, points: [{ value: 0, atMost: n * Math.min(1, Math.max(0, 1 - mean)) }], rankError: 0 };
	const bounds = quantileBounds(counts, q, { alpha, tunedAt: TUNED_AT });
	if (isNoEstimate(bounds)) return null;
	return bounds.upper !== null ? "below" : bounds.lower !== null ? "above" : null;
}
