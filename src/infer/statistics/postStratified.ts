/**
 * The effect with equal shares of each segment value in both arms: this removes chance imbalance of, for example, countries, and the
 * variance between them (estimators/stratification.ts). A second estimate for display, with a standard error for one look;
 * decisions use the plain comparison, which is anytime-valid.
 */
import { difference, relativeLift } from "./estimators/contrast.js";
import { isNoEstimate, type NoEstimate } from "./estimators/estimate.js";
import { meanLevel, ratioLevel } from "./estimators/level.js";
import { type MeanVector, meanVectorOf, meanVectorOfMoments } from "./estimators/meanVector.js";
import { sharesOf, stratifiedMeans, withEstimatedShares } from "./estimators/stratification.js";
import type { MetricEvidence } from "./evidence.js";
import { isRelative, type Question, signOf } from "./question.js";
import { mergeCoMoments } from "./statistics/coMoments.js";
import { mergeMoments } from "./statistics/moments.js";

/** On the finding's scale, positive is better. */
export interface StratifiedEffect {
	readonly improvement: number;
	readonly standardError: number;
	/** The same without stratification. */
	readonly crude: { readonly improvement: number; readonly standardError: number };
	/** Values that are separate strata; the others form one more. */
	readonly strata: number;
	readonly units: number;
}

interface Stratum {
	readonly challenger: MetricEvidence;
	readonly baseline: MetricEvidence;
}

/** A stratum with fewer units in an arm is merged with other small ones: its variance is unknown. */
const STRATUM_UNITS_MIN = 30;

type Asked = Pick<Question, "metric" | "effect">;

/** Stratified by the values of one segment; or the reason why there is no estimate. */
export function postStratified(asked: Asked, values: readonly Stratum[]): StratifiedEffect | NoEstimate {
	const strata = joined(values);
	if (strata.length < 2) return { reason: "fewer than two values have enough people in both arms" };
	const found = effectOver(asked, strata);
	if (isNoEstimate(found)) return found;
	const crude = effectOver(asked, [strata.reduce(together)]);
	if (isNoEstimate(crude)) return crude;
	return { ...found, crude, strata: strata.length, units: unitsOf(strata).reduce((sum, n) => sum + n, 0) };
}

function unitsOf(strata: readonly Stratum[]): number[] {
	return strata.map(({ challenger, baseline }) => challenger.n + baseline.n);
}

/** Merges small strata, if necessary also with the next smallest one. */
function joined(values: readonly Stratum[]): Stratum[] {
	const isLarge = ({ challenger, baseline }: Stratum): boolean =>
		Math.min(challenger.n, baseline.n) >= STRATUM_UNITS_MIN;
	const large = values.filter(isLarge).sort((a, b) => b.challenger.n + b.baseline.n - a.challenger.n - a.baseline.n);
	const small = values.filter((value) => !isLarge(value));
	if (small.length === 0) return large;
	const rest = small.reduce(together);
	const last = large.pop();
	if (isLarge(rest) || last === undefined) return [...large, ...(last === undefined ? [] : [last]), rest];
	return [...large, together(last, rest)];
}

function together(a: Stratum, b: Stratum): Stratum {
	return { challenger: merged(a.challenger, b.challenger), baseline: merged(a.baseline, b.baseline) };
}

function merged(a: MetricEvidence, b: MetricEvidence): MetricEvidence {
	const moments = mergeMoments(a, b);
	if (a.co === undefined || b.co === undefined) {
		const only = a.n === 0 ? b.co : b.n === 0 ? a.co : undefined;
		return only === undefined ? moments : { ...moments, co: only };
	}
	return { ...moments, co: mergeCoMoments(a.co, b.co) };
}

function effectOver(
	asked: Asked,
	strata: readonly Stratum[],
): { readonly improvement: number; readonly standardError: number } | NoEstimate {
	const ratio = asked.metric.spec.type === "ratio";
	const vectorOf = (evidence: MetricEvidence): MeanVector | NoEstimate => {
		if (!ratio) return meanVectorOfMoments(evidence);
		return evidence.co === undefined ? { reason: "the evidence has no denominators" } : meanVectorOf(2, evidence.co);
	};
	const units = unitsOf(strata);
	const shares = sharesOf(units);
	const parts: { readonly share: number; readonly challenger: MeanVector; readonly baseline: MeanVector }[] = [];
	for (const [index, { challenger, baseline }] of strata.entries()) {
		const [t, c] = [vectorOf(challenger), vectorOf(baseline)];
		if (isNoEstimate(t)) return t;
		if (isNoEstimate(c)) return c;
		parts.push({ share: shares[index] ?? 0, challenger: t, baseline: c });
	}
	const levelOf = (arm: "challenger" | "baseline") => {
		const means = stratifiedMeans(parts.map((part) => ({ share: part.share, vector: part[arm] })));
		return isNoEstimate(means) ? means : ratio ? ratioLevel(means) : meanLevel(means);
	};
	const [t, c] = [levelOf("challenger"), levelOf("baseline")];
	if (isNoEstimate(t)) return t;
	if (isNoEstimate(c)) return c;
	const contrast = isRelative(asked) ? relativeLift(t, c) : difference(t, c);
	if (isNoEstimate(contrast)) return contrast;
	const whole = withEstimatedShares(
		contrast,
		parts,
		units.reduce((sum, n) => sum + n, 0),
	);
	if (isNoEstimate(whole)) return whole;
	return { improvement: 0 + signOf(asked.metric) * whole.value, standardError: Math.sqrt(whole.variance) };
}
