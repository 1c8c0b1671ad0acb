/**
 * The posterior of one arm's mean with an explicit prior: a Beta for rates, a Gaussian for means. For reports and bandit
 * weights; harm and promotion do not use it.
 */
import type { Moments } from "../evidence.js";

/** A rate in (0, 1). */
export interface BetaPosterior {
	readonly a: number;
	readonly b: number;
}

/** A mean on any scale. */
export interface GaussianPosterior {
	readonly mean: number;
	readonly sd: number;
}

/** All arms of one metric have the same family. */
export type ArmPosteriors =
	| { readonly family: "beta"; readonly arms: readonly BetaPosterior[] }
	| { readonly family: "gaussian"; readonly arms: readonly GaussianPosterior[] };

/** Every rate equally likely. The usual choice of the field, so that our numbers compare with others'. */
export const PRIOR_UNIFORM: BetaPosterior = { a: 1, b: 1 };

/**
 * Posterior of a rate from n units whose values in [0, 1] sum to `sum`. Exact for 0 and 1; for shares it is the
 * Beta that Bernoulli data of the same sum would give, which is wider than the truth.
 */
export function betaPosterior({ n, sum }: { n: number; sum: number }, prior: BetaPosterior): BetaPosterior {
	return { a: prior.a + sum, b: prior.b + n - sum };
}

/**
 * Posterior of a mean by the normal approximation of its sampling error, m2 ÷ (n − 1) ÷ n. `prior` null = flat.
 * null = no sampling error: fewer than two units, or equal values.
 */
export function gaussianPosterior({ n, mean, m2 }: Moments, prior: GaussianPosterior | null): GaussianPosterior | null {
	const squaredError = m2 / (n - 1) / n;
	if (!(n >= 2 && squaredError > 0 && Number.isFinite(squaredError) && Number.isFinite(mean))) return null;
	return combined({ mean, sd: Math.sqrt(squaredError) }, prior);
}

/** Product of two independent Gaussian pieces of knowledge: precisions add, means are weighted by them. */
export function combined(data: GaussianPosterior, prior: GaussianPosterior | null): GaussianPosterior {
	if (prior === null) return data;
	const dataPrecision = data.sd ** -2;
	const priorPrecision = prior.sd ** -2;
	const precision = dataPrecision + priorPrecision;
	return {
		mean: (dataPrecision * data.mean + priorPrecision * prior.mean) / precision,
		sd: precision ** -0.5,
	};
}
