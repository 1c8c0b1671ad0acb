/**
 * The incomplete gamma integral: whichever of its two tails is the smaller one, directly.
 *
 * From LARGE on by quadrature, like the incomplete beta integral; below that by the series of P (NIST DLMF 8.11.4)
 * left of a + 1 and the continued fraction of Q (DLMF 8.9.2 in its contracted form) right of it.
 */
import { WeirError } from "../../../error.js";
import { HALF_LN_2PI, lnGamma, STIRLING_FROM, stirlingRemainder } from "./lnGamma.js";
import { deviance, log1pmx } from "./log1pmx.js";
import { logConcaveTail } from "./quadrature.js";
import type { Tail } from "./tail.js";

const LARGE = 1_000;

/** Both the series and the fraction end within a few hundred steps for a below LARGE. */
const STEPS_MAX = 2_000;
const TINY = 1e-300;

/** ln [xᵃ e⁻ˣ / Γ(a)], by Loader's deviance where a is large. */
export function logGammaKernel(x: number, a: number): number {
	if (a < STIRLING_FROM) return a * Math.log(x) - x - lnGamma(a);
	return deviance(a, x, x - a) + 0.5 * Math.log(a) - HALF_LN_2PI - stirlingRemainder(a);
}

/** P(a, x) / kernel, for x below about a + 1: terms are positive and fall from the start. */
function series(x: number, a: number): number {
	let term = 1 / a;
	let sum = term;
	for (let k = 1; term > sum * 1e-17; k++) {
		term *= x / (a + k);
		sum += term;
	}
	return sum;
}

/** Q(a, x) / kernel, for x above about a + 1. Throws internal where `steps` do not suffice. */
export function gammaFraction(x: number, a: number, steps = STEPS_MAX): number {
	let b = x + 1 - a;
	let c = 1 / TINY;
	let d = 1 / b;
	let value = d;
	for (let k = 1; k <= steps; k++) {
		const term = k * (a - k);
		b += 2;
		d = term * d + b;
		if (d === 0) d = TINY;
		c = b + term / c;
		if (c === 0) c = TINY;
		d = 1 / d;
		const change = c * d;
		value *= change;
		if (Math.abs(change - 1) <= Number.EPSILON) return value;
	}
	throw new WeirError(
		"internal",
		`The incomplete gamma function did not converge within ${steps} steps (x ${x}, a ${a}).`,
	);
}

/** A tail divided by the kernel: `sign` 1 is the one above x, −1 the one below. */
function quadrature(x: number, a: number, sign: 1 | -1): number {
	const p = a - 1;
	const slopeAtStart = (sign * (p - x)) / x;
	const integral = logConcaveTail(
		(delta) => p * log1pmx((sign * delta) / x) + slopeAtStart * delta,
		(delta) => sign * (p / (x + sign * delta) - 1),
		slopeAtStart,
		p / (x * x),
		sign > 0 ? Number.POSITIVE_INFINITY : x,
	);
	return integral / x;
}

/** One tail of the gamma distribution with shape a > 0 and scale 1 at finite x > 0. */
export function incompleteGamma(x: number, a: number): Tail {
	const logKernel = logGammaKernel(x, a);
	if (a >= LARGE) return { lower: x < a, logKernel, factor: quadrature(x, a, x < a ? -1 : 1) };
	const lower = x < a + 1;
	return { lower, logKernel, factor: lower ? series(x, a) : gammaFraction(x, a) };
}
