/**
 * Roots of functions of one variable: a bracketed search for any continuous function, and a Newton iteration for log
 * tails, which are concave. Neither returns a number that it has not converged to.
 */
import { WeirError } from "../../../error.js";

/** Brent's method halves the bracket at least every few steps: 1,100 halvings exhaust the doubles. */
const BRENT_STEPS_MAX = 4_000;

/**
 * The root of a continuous f in [lo, hi] by Brent's method (Algorithms for Minimization without Derivatives, 1973,
 * chapter 4), to `tolerance` (absolute, ≥ 0) plus two units in the last place of the root. f(lo) and f(hi) must have
 * opposite signs or be zero. Throws invalid-argument where they do not, and internal where f yields NaN or the search
 * does not end.
 */
export function rootOf(f: (x: number) => number, lo: number, hi: number, tolerance: number): number {
	if (!(Number.isFinite(lo) && Number.isFinite(hi) && tolerance >= 0))
		throw new WeirError("invalid-argument", `A root is sought in [${lo}, ${hi}] to ${tolerance}.`);
	const at = (x: number): number => {
		const y = f(x);
		if (Number.isNaN(y)) throw new WeirError("internal", `The function whose root is sought is NaN at ${x}.`);
		return y;
	};
	let [a, b] = [lo, hi];
	let [fa, fb] = [at(a), at(b)];
	if (fa === 0) return a;
	if (fb === 0) return b;
	if (fa > 0 === fb > 0)
		throw new WeirError("invalid-argument", `No sign change: f(${lo}) = ${fa} and f(${hi}) = ${fb}.`);
	let [c, fc] = [a, fa];
	let step = b - a;
	let before = step;
	for (let count = 0; count < BRENT_STEPS_MAX; count++) {
		if (Math.abs(fc) < Math.abs(fb)) {
			[a, b, c] = [b, c, b];
			[fa, fb, fc] = [fb, fc, fb];
		}
		const close = 2 * Number.EPSILON * Math.abs(b) + tolerance / 2;
		const half = (c - b) / 2;
		if (Math.abs(half) <= close || fb === 0) return b;
		if (Math.abs(before) < close || Math.abs(fa) <= Math.abs(fb)) {
			step = half;
			before = half;
		} else {
			const s = fb / fa;
			let p = 2 * half * s;
			let q = 1 - s;
			if (a !== c) {
				const r = fb / fc;
				const u = fa / fc;
				p = s * (2 * half * u * (u - r) - (b - a) * (r - 1));
				q = (u - 1) * (r - 1) * (s - 1);
			}
			if (p > 0) q = -q;
			else p = -p;
			if (2 * p < Math.min(3 * half * q - Math.abs(close * q), Math.abs(before * q))) {
				before = step;
				step = p / q;
			} else {
				step = half;
				before = half;
			}
		}
		[a, fa] = [b, fb];
		b += Math.abs(step) > close ? step : half > 0 ? close : -close;
		fb = at(b);
		if (fb > 0 === fc > 0) {
			[c, fc] = [a, fa];
			step = b - a;
			before = step;
		}
	}
	throw new WeirError("internal", `No root of the function within ${BRENT_STEPS_MAX} steps in [${lo}, ${hi}].`);
}

/** Relative to the scale: convergence is quadratic, and a step this small leaves about its square. */
const NEWTON_SMALL = 1e-7;
/** The first step may come from where the tail is flat, so it is not trusted beyond this many scales. */
const NEWTON_FAR = 10;
const NEWTON_STEPS_MAX = 200;

/** One value of a log tail and its slope. */
export interface LogTail {
	readonly value: number;
	readonly slope: number;
}

/**
 * The u where a concave, strictly monotone log tail equals `target`, by Newton's method from `start`. A tangent lies
 * above a concave function, so after the first step all iterates lie on one side of the root and approach it
 * monotonically. `scale` is the distribution's width in u, about its standard deviation there. Throws internal on
 * non-convergence.
 */
export function solveLogTail(tail: (u: number) => LogTail, target: number, start: number, scale: number): number {
	let u = start;
	for (let count = 0; count < NEWTON_STEPS_MAX; count++) {
		const { value, slope } = tail(u);
		const step = (target - value) / slope;
		if (Number.isNaN(step)) break;
		u += Math.max(-NEWTON_FAR * scale, Math.min(NEWTON_FAR * scale, step));
		if (Math.abs(step) <= NEWTON_SMALL * scale) return u;
	}
	throw new WeirError("internal", `A quantile did not converge (log tail ${target}, start ${start}).`);
}
