/**
 * The −1 branch of Lambert's W, which widths of asymptotic confidence sequences need.
 */

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
