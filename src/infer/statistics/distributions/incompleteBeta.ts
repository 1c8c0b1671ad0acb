/**
 * The incomplete beta integral: whichever of its two tails is the smaller one, directly, as a logarithm and a factor.
 *
 * With both parameters from LARGE on, a tail is the density at its end times the integral of a smooth, nearly Gaussian
 * ratio, by Gauss–Legendre quadrature: uniform in size, unlike a continued fraction, whose length grows with the root
 * of the parameters, and as good near the mean as Temme's expansion, without its cancelling coefficients.
 * Otherwise the continued fraction of DiDonato and Morris (Algorithm 708, 1992, eq. 9), the even part of NIST DLMF
 * 8.17.22: two of its terms in one step, by the modified Lentz method.
 */
import { WeirError } from "../../../error.js";
import { HALF_LN_2PI, lnBeta, STIRLING_FROM, stirlingRemainder } from "./lnGamma.js";
import { deviance, excess, log1pmx } from "./log1pmx.js";
import { logConcaveTail } from "./quadrature.js";
import type { Tail } from "./tail.js";

/** From here on quadrature is the faster one: the fraction's length near the mean grows with √a. */
const LARGE = 20_000;

/** ln x where x + y = 1 and both are known to full relative precision. */
function logOf(x: number, y: number): number {
	return x < 0.5 ? Math.log(x) : Math.log1p(-y);
}

/**
 * ln [xᵃ yᵇ / B(a, b)] for x + y = 1. From STIRLING_FROM on by Loader's deviances, in which nothing of the size of
 * a·ln x is rounded.
 */
export function logBetaKernel(x: number, y: number, a: number, b: number): number {
	if (Math.min(a, b) < STIRLING_FROM) return a * logOf(x, y) + b * logOf(y, x) - lnBeta(a, b);
	const delta = x <= 0.5 ? excess(x, a, b) : -excess(y, b, a);
	const n = a + b;
	return (
		deviance(a, n * x, delta) +
		deviance(b, n * y, -delta) +
		0.5 * Math.log(a * (b / n)) -
		HALF_LN_2PI -
		(stirlingRemainder(a) + stirlingRemainder(b) - stirlingRemainder(n))
	);
}

/** Steps that the fraction may take: a few √max(a, b) at the worst x, and some for small parameters. */
function stepsMax(a: number, b: number): number {
	return 500 + 5 * Math.sqrt(Math.max(a, b));
}

const TINY = 1e-300;

/**
 * I_x(a, b) / [xᵃ yᵇ / B(a, b)] for x up to about the mean. Throws internal where `steps` do not suffice: by default
 * they do for all parameters.
 */
export function betaFraction(x: number, y: number, a: number, b: number, steps = stepsMax(a, b)): number {
	const n = a + b;
	const lambda = y <= 0.5 ? n * y - b : a - n * x;
	let denominator = (a * (lambda + 1)) / (a + 1);
	if (denominator === 0) denominator = TINY;
	let c = denominator;
	let d = 0;
	let value = denominator;
	for (let k = 1; k <= steps; k++) {
		const at = a + 2 * k - 1;
		const scaled = (k * (b - k) * x) / at;
		const alpha = ((a + k - 1) / at) * (n + k - 1) * scaled * x;
		const beta = k + scaled + ((a + k) / (at + 2)) * (lambda + 1 + k * (1 + y));
		d = beta + alpha * d;
		if (d === 0) d = TINY;
		c = beta + alpha / c;
		if (c === 0) c = TINY;
		d = 1 / d;
		const change = c * d;
		value *= change;
		if (Math.abs(change - 1) <= Number.EPSILON) return 1 / value;
	}
	throw new WeirError(
		"internal",
		`The incomplete beta function did not converge within ${Math.round(steps)} steps (x ${x}, a ${a}, b ${b}).`,
	);
}

/** ₂F₁(a+b, 1; a+1; x)/a, of positive terms: the same as betaFraction where b·x is small, and faster there. */
function series(x: number, a: number, b: number): number {
	let term = 1 / a;
	let sum = term;
	for (let k = 1; term > sum * 1e-17; k++) {
		term *= ((a + b + k - 1) / (a + k)) * x;
		sum += term;
	}
	return sum;
}

/** ∫ from x to 1 of the density, divided by the kernel; for x from about the mean up. */
function upperQuadrature(x: number, y: number, a: number, b: number): number {
	const [p, q] = [a - 1, b - 1];
	const slopeAtStart = p / x - q / y;
	const integral = logConcaveTail(
		(delta) => p * log1pmx(delta / x) + q * log1pmx(-delta / y) + slopeAtStart * delta,
		(delta) => p / (x + delta) - q / (y - delta),
		slopeAtStart,
		p / (x * x) + q / (y * y),
		y,
	);
	return integral / (x * y);
}

/**
 * One tail of the beta distribution with parameters a, b > 0 at x in (0, 1), y = 1 − x: the lower one where x is below
 * about the mean, else the upper one.
 */
export function incompleteBeta(x: number, y: number, a: number, b: number): Tail {
	const logKernel = logBetaKernel(x, y, a, b);
	if (Math.min(a, b) >= LARGE) {
		const lower = x * b < y * a;
		return { lower, logKernel, factor: lower ? upperQuadrature(y, x, b, a) : upperQuadrature(x, y, a, b) };
	}
	const lower = x * (b + 1) < y * (a + 1);
	const [z, w, c, d] = lower ? [x, y, a, b] : [y, x, b, a];
	const small = z <= 0.5 && z * d <= 1;
	return { lower, logKernel, factor: small ? series(z, c, d) : betaFraction(z, w, c, d) };
}
