/**
 * The posterior of one challenger's effect: a Gaussian on a named scale. For reports only.
 *
 * A prior belongs to a scale. "Effects are about ±20 %" on a metric whose baseline is 10 is ±2 in its own unit; a prior on
 * the wrong scale is wrong by the baseline's size. So each prior has its scale and is converted to the effect's.
 */
import { normalCdf, normalPdf, normalSf } from "../distributions/normal.js";
import type { Moments } from "../evidence.js";
import { combined, type GaussianPosterior } from "./posterior.js";
import type { Direction } from "./ranking.js";

/** absolute: challenger − baseline in the metric's unit. relative: (challenger − baseline) ÷ |baseline|. */
export type EffectScale = "absolute" | "relative";

export interface EffectPrior {
	readonly scale: EffectScale;
	readonly mean: number;
	readonly sd: number;
}

export interface EffectBelief {
	readonly scale: EffectScale;
	readonly effect: GaussianPosterior;
	/** Chance that the challenger is better. */
	readonly chanceToWin: number;
	/** Expected loss of choosing the challenger, and of the baseline, on the effect's scale. */
	readonly lossOfChallenger: number;
	readonly lossOfBaseline: number;
}

/**
 * The effect's posterior from both arms' moments. `prior` null = flat. null without sampling error (two units and a
 * variance in at least one arm), and on the relative scale for a baseline of 0.
 *
 * The relative effect's variance is the delta method's with the baseline's noise in it: V_t/μ_c² + V_c·μ_t²/μ_c⁴.
 */
export function effectBelief(
	challenger: Moments,
	baseline: Moments,
	scale: EffectScale,
	prior: EffectPrior | null,
	direction: Direction,
): EffectBelief | null {
	const data = measured(challenger, baseline, scale);
	if (data === null) return null;
	const size = Math.abs(baseline.mean);
	if (prior !== null && prior.scale !== scale && !(size > 0)) return null;
	const effect = combined(data, prior === null ? null : onScale(prior, scale, size));
	const z = (direction === "up" ? effect.mean : -effect.mean) / effect.sd;
	return {
		scale,
		effect,
		chanceToWin: normalCdf(z),
		lossOfChallenger: effect.sd * expectedPositive(-z),
		lossOfBaseline: effect.sd * expectedPositive(z),
	};
}

function measured(t: Moments, c: Moments, scale: EffectScale): GaussianPosterior | null {
	const errorT = t.m2 / (t.n - 1) / t.n;
	const errorC = c.m2 / (c.n - 1) / c.n;
	const difference = t.mean - c.mean;
	const squared =
		scale === "absolute" ? errorT + errorC : errorT / c.mean ** 2 + (errorC * t.mean ** 2) / (c.mean ** 2) ** 2;
	const mean = scale === "absolute" ? difference : difference / Math.abs(c.mean);
	if (!(t.n >= 2 && c.n >= 2 && squared > 0 && Number.isFinite(squared) && Number.isFinite(mean))) return null;
	return { mean, sd: Math.sqrt(squared) };
}

function onScale(prior: EffectPrior, scale: EffectScale, baseline: number): GaussianPosterior {
	const { mean, sd } = prior;
	if (prior.scale === scale) return { mean, sd };
	return scale === "relative"
		? { mean: mean / baseline, sd: sd / baseline }
		: { mean: mean * baseline, sd: sd * baseline };
}

/** E[(X + z)⁺] for a standard normal X: φ(z) + z·Φ(z). Far below 0 the difference loses z² ulps: 3 digits at −30. */
function expectedPositive(z: number): number {
	return z >= 0 ? normalPdf(z) + z * normalCdf(z) : normalPdf(z) + z * normalSf(-z);
}
