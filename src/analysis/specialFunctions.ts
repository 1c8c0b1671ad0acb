/**
 * The special functions that the analysis needs, in double precision: ln Γ, ln B and the −1 branch of Lambert's W.
 *
 * jStat is not used. Its gammaln has an absolute error that grows with the argument (a difference of two logs of
 * about 10⁷ keeps no digit that a log Bayes factor of 7 could spare) and its incomplete beta is wrong from a+b of
 * about 10⁵ (reference/statistics.md 5, H1). What is needed here is 80 lines, checked against mpmath at 50 digits
 * in test/fixtures/statistics/specialFunctions.json.
 */

const HALF_LN_2PI = 0.9189385332046728;

/** From here on Stirling's series with eight terms is exact to double precision. */
const STIRLING_FROM = 12;

/**
 * Remainder of Stirling's formula, μ(x) = ln Γ(x) − [(x − ½) ln x − x + ½ ln 2π], for x ≥ STIRLING_FROM.
 * Source: NIST DLMF 5.11.1, coefficients B₂ₖ/(2k(2k−1)).
 */
function stirlingRemainder(x: number): number {
	const y = 1 / (x * x);
	return (
		(1 / 12 +
			y *
				(-1 / 360 +
					y *
						(1 / 1260 +
							y * (-1 / 1680 + y * (1 / 1188 + y * (-691 / 360360 + y * (1 / 156 + (y * -3617) / 122400))))))) /
		x
	);
}

/** x·(x+1)·…·(x+m−1) with the smallest m that lifts x to STIRLING_FROM; x > 0. */
function lift(x: number): { readonly lifted: number; readonly logProduct: number } {
	let product = 1;
	let lifted = x;
	while (lifted < STIRLING_FROM) {
		product *= lifted;
		lifted += 1;
	}
	return { lifted, logProduct: Math.log(product) };
}

/** Natural logarithm of the gamma function for x > 0; absolute error below 1e-13 · max(1, |ln Γ(x)|). NaN otherwise. */
export function lnGamma(x: number): number {
	if (!(x > 0)) return Number.NaN;
	if (x === 1 || x === 2) return 0;
	const { lifted, logProduct } = lift(x);
	return (lifted - 0.5) * Math.log(lifted) - lifted + HALF_LN_2PI + stirlingRemainder(lifted) - logProduct;
}

/** ln Γ(b) − ln Γ(a + b) for b ≥ STIRLING_FROM, a > 0, without the difference of two large logarithms. */
function lnGammaRatio(a: number, b: number): number {
	const sum = a + b;
	return -(b - 0.5) * Math.log1p(a / b) - a * Math.log(sum) + a + stirlingRemainder(b) - stirlingRemainder(sum);
}

/**
 * Natural logarithm of the beta function for a, b > 0; NaN otherwise. Where both are large Stirling's terms are
 * cancelled on paper, so that the absolute error stays near that of the result itself.
 */
export function lnBeta(a: number, b: number): number {
	if (!(a > 0 && b > 0)) return Number.NaN;
	const small = Math.min(a, b);
	const large = Math.max(a, b);
	if (large < STIRLING_FROM) return lnGamma(small) + lnGamma(large) - lnGamma(small + large);
	if (small < STIRLING_FROM) return lnGamma(small) + lnGammaRatio(small, large);
	const sum = small + large;
	return (
		(small - 0.5) * Math.log(small / sum) -
		large * Math.log1p(small / large) -
		0.5 * Math.log(large) +
		HALF_LN_2PI +
		stirlingRemainder(small) +
		stirlingRemainder(large) -
		stirlingRemainder(sum)
	);
}

/** Logarithm of the multivariate beta function, Σ ln Γ(αᵢ) − ln Γ(Σ αᵢ), as a chain of bivariate ones. */
export function lnMultivariateBeta(alpha: readonly number[]): number {
	let total = 0;
	let result = 0;
	for (const [index, value] of alpha.entries()) {
		if (index > 0) result += lnBeta(total, value);
		total += value;
	}
	return result;
}

/**
 * −W₋₁(−e^(−c)) for c ≥ 1: the solution y ≥ 1 of y − ln y = c, by Newton's method on a convex function from the
 * right of the root, so every step is monotone. Source: Corless et al. 1996, branch −1 of Lambert's W.
 */
export function negativeLambertW(c: number): number {
	if (!(c >= 1)) return Number.NaN;
	if (c === 1) return 1;
	let y = c + Math.log(c) + 1;
	for (let step = 0; step < 60; step++) {
		const next = y - (y - Math.log(y) - c) / (1 - 1 / y);
		if (!(next < y)) return y;
		y = next;
	}
	return y;
}

/** ln Σ exp(vᵢ) without overflow; −∞ for an empty list. */
export function logSumExp(values: readonly number[]): number {
	const top = Math.max(...values);
	if (!Number.isFinite(top)) return top;
	let sum = 0;
	for (const value of values) sum += Math.exp(value - top);
	return top + Math.log(sum);
}
