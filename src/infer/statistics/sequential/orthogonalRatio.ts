/**
 * The sharp half of the evidence against one null point b = (p_t, p_c) on the line: a mixture of likelihood ratios
 * from b to points on the claim's side,
 *
 *   O_b = Σ_j w_j · L(p_t + x·s_j, p_c − y·s_j) / L(p_t, p_c)        (signs turned for a claim "below").
 *
 * It may differ from null point to null point, because the null is rejected only when every one of its points is.
 * So the arms' common level costs nothing: it is b's own, not integrated over. What is paid is ln(1/w) for the
 * effect's size alone.
 *
 * - Direction. (x, y) ∝ (V_t, slope·V_c), V = p(1−p)/share of the arm by design: the step that Fisher's information
 *   makes orthogonal to moving along the line. An error in the level then changes the ratio in second order only,
 *   and the arm whose mean is next to 0 or 1 is hardly moved. (Neyman's orthogonal score; the least favourable
 *   direction, van der Vaart, Asymptotic Statistics, ch. 25.) Shares must not depend on the data; wrong ones cost
 *   power (at 1 : 9 taken for 1 : 1 more than twice the units), never validity.
 * - Sizes. Fixed shares of the way to the edge of the unit square, in a geometric row: each true effect has a step
 *   within a factor 0.76 to 1.31, where at most a tenth of the exponent is lost (δ_j δ − δ_j²/2 against δ²/2); the
 *   smallest, 0.0017, still serves a million units. Weights ∝ ⁴√share, heavier on
 *   large steps, which are proved or refuted with few units and feel a nat the most. The largest, 0.99, is for
 *   failures that never come.
 *
 * Valid under every null point that b dominates, not only under b. For "above": a factor of the challenger's arm is
 * (q/p_t)^x ((1−q)/(1−p_t))^(1−x) with q ≥ p_t; it is convex and increasing in x, so on [0,1] it lies below its
 * chord and its mean under any E X ≤ p_t is at most (1−q) + q = 1. The baseline's factor has q ≤ p_c, decreases, and
 * has mean at most 1 under any E X ≥ p_c. Hence O_b is a supermartingale starting at 1 for shares in [0,1] as for 0
 * and 1, wherever the challenger is at most p_t and the baseline at least p_c.
 */
import type { ArmShares, Contrast, Sample, Side } from "./bernoulliArms.js";

const FRACTIONS: readonly number[] = [0.99, 0.9, ...Array.from({ length: 12 }, (_, index) => 0.7 * 0.58 ** index)];

const WEIGHT_SUM = FRACTIONS.reduce((sum, fraction) => sum + fraction ** 0.25, 0);

const LOG_WEIGHTS: readonly number[] = FRACTIONS.map((fraction) => 0.25 * Math.log(fraction) - Math.log(WEIGHT_SUM));

/** A null point and the slope of the line it lies on. */
export interface NullPoint {
	readonly pt: number;
	readonly pc: number;
	readonly slope: number;
}

/**
 * Length of the way from b to the edge of the unit square, in units of the direction (x, y). The variance cancels
 * against the room, (1−p_t)/x = share/p_t, so that nothing jumps where an arm's mean reaches 0 or 1.
 */
function reachFrom(side: Side, { pt, pc, slope }: NullPoint, { challenger, baseline }: ArmShares): number {
	return side === "above"
		? Math.min(challenger / pt, baseline / (slope * (1 - pc)))
		: Math.min(challenger / (1 - pt), baseline / (slope * pc));
}

/**
 * The p_c on the line at which the way to the edge passes from one arm's to the other's, where O_b has a kink. It
 * may lie outside the square; slope > 0.
 */
export function kinkOn(side: Side, { slope, offset }: Contrast, { challenger, baseline }: ArmShares): number {
	const both = slope * (challenger + baseline);
	return side === "above" ? (challenger * slope - baseline * offset) / both : (baseline * (1 - offset)) / both;
}

/** A term so far below the largest adds nothing in double precision. */
const DOUBLE_NATS = 38;

/**
 * ln(1 + u) as 2·artanh(z), z = u/(2+u) (DLMF 4.6.5), with as many terms as |u| needs for a relative error of 1e-15;
 * the library's beyond. The library's costs three times as much, in the innermost loop.
 */
function lnOnePlus(u: number): number {
	if (u > 0.2 || u < -0.2) return Math.log(1 + u);
	const z = u / (2 + u);
	const y = z * z;
	const first = 1 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7)));
	if (u < 0.02 && u > -0.02) return 2 * z * first;
	const y2 = y * y;
	return 2 * z * (first + y2 * y2 * (1 / 9 + y * (1 / 11) + y2 * (1 / 13 + y * (1 / 15))));
}

/**
 * ln L(q) − ln L(p) for q = p + s·p(1−p): S·ln(1 + s(1−p)) + (n−S)·ln(1 − s·p). Where p is 0 or 1 it is the limit
 * from inside, which is finite and, as a limit of supermartingales, one too.
 */
function logRatio(sum: number, misses: number, p: number, s: number): number {
	const hit = sum === 0 ? 0 : sum * lnOnePlus(s * (1 - p));
	return misses === 0 ? hit : hit + misses * lnOnePlus(-s * p);
}

/** ln O_b. 0 at the corner without a direction towards the claim. */
export function logOrthogonalRatio(
	side: Side,
	challenger: Sample,
	baseline: Sample,
	point: NullPoint,
	shares: ArmShares,
): number {
	const reach = reachFrom(side, point, shares);
	if (reach === Number.POSITIVE_INFINITY) return 0;
	const unit = side === "above" ? reach : -reach;
	const perT = unit / shares.challenger;
	const perC = (-unit * point.slope) / shares.baseline;
	const missesT = challenger.n - challenger.sum;
	const missesC = baseline.n - baseline.sum;
	// ln Σ exp, rescaled whenever a larger term comes, smallest step first. A term is concave in the step (each ln is,
	// and the weight's too), so once one has fallen out of double precision's sight all longer steps have. No step
	// reaches the edge, so every term is finite.
	let top = Number.NEGATIVE_INFINITY;
	let sum = 0;
	for (let index = FRACTIONS.length - 1; index >= 0; index--) {
		const fraction = FRACTIONS[index] ?? 0;
		const term =
			(LOG_WEIGHTS[index] ?? 0) +
			logRatio(challenger.sum, missesT, point.pt, perT * fraction) +
			logRatio(baseline.sum, missesC, point.pc, perC * fraction);
		if (term > top) {
			sum = sum * Math.exp(top - term) + 1;
			top = term;
		} else if (term > top - DOUBLE_NATS) sum += Math.exp(term - top);
		else break;
	}
	return top + Math.log(sum);
}
