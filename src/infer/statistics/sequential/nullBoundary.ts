/**
 * The evidence against a composite null: the smallest value that an e-process, one for each null point, takes over
 * the null {p_t ≤ slope·p_c + offset} (claim "above") or ≥ (claim "below").
 *
 * Only the line need be searched. For b on the line let the box of b be the means that b dominates (p_t no larger,
 * p_c no smaller for "above"). Every null point P lies in the box of some b that can be named beforehand (walk from P
 * towards the corner (0,1) of (p_c, p_t); the corner is no null point, so the walk meets the line). Under P both
 * mixture/L(P) and O_b (orthogonalRatio.ts) are supermartingales that start at 1, so is their weighted mean, and it
 * is never below
 *
 *   M_b = w · mixture / max L over the box of b  +  (1−w) · O_b,        w = MIXTURE_SHARE.
 *
 * So inf_b M_b ≥ 1/α happens with probability at most α under every null point (Ville), interior ones included,
 * whatever the shape of M_b. The box's maximum is at (min(p̂_t, p_t), max(p̂_c, p_c)).
 *
 * How the infimum is found, and why nothing is missed:
 * - The first part, the floor, is log-convex along the line (the box's maximum is a partial maximum of a concave
 *   function over a convex set) and smallest where the line's likelihood is largest: found by Newton's method.
 * - M_b ≥ floor, so where floor ≥ the best value so far there is nothing to find. That leaves one interval, whose
 *   ends are found by bisection, rounded outwards; usually ±3 to ±5 standard deviations of the level.
 * - In it O_b has one kink at a known place (kinkOn) and no feature finer than a fraction of a standard deviation of
 *   an arm's mean: a term's exponent is n·(entropy functions of the means) with bounded derivatives on the arcsine
 *   scale, so an exponent of h nats changes by O(√h) nats per standard deviation. M_b is evaluated at the ends, the
 *   centre, the kink and at GRID_PER_SD·√h points per standard deviation of either arm, evenly on that arm's arcsine
 *   scale (where every standard deviation is 1/(2√n), also next to 0 and 1), and each local minimum of the grid is
 *   refined by Brent's method. A test compares with scans of the whole line for random samples and lines.
 */
import {
	type ArmShares,
	type Contrast,
	challengerOn,
	logLikelihood,
	mostLikelyOn,
	type Sample,
	type Side,
	segment,
} from "./bernoulliArms.js";
import { kinkOn, logOrthogonalRatio, type NullPoint } from "./orthogonalRatio.js";

/** w: the mixture's part has only to rule out far levels; every nat of the other part's weight counts. */
export const MIXTURE_SHARE = 0.2;
const LOG_MIXTURE_SHARE = Math.log(MIXTURE_SHARE);
const LOG_RATIO_SHARE = Math.log1p(-MIXTURE_SHARE);

/**
 * Points per standard deviation where ln M_b is a few nats; where it is h times that, √h times as many. Far beyond any
 * level that decides, valleys of two arms of very different size can be narrower, so √h once more.
 */
const GRID_PER_SD = 1;
const GRID_NATS = 4;
const GRID_FAR_NATS = 30;
const GRID_MIN = 8;
const GRID_MAX = 512;

/** Local minima of the grid this much above its best are not refined: refinement gains a few hundredths. */
const REFINE_WITHIN_NATS = 1;
const REFINE_WITHIN_SHARE = 0.001;

/** A neighbouring line's worst null point is looked for so far around, and a parabola believed so many times as far. */
const VALLEY_SDS = 0.1;
const VALLEY_REACH = 10;

const GOLDEN = (3 - Math.sqrt(5)) / 2;
/** Relative to the bracket. A minimum is flat: 1e-5 of at most two standard deviations is an error below 1e-9 nats. */
const REFINE_TO = 1e-5;
const REFINE_STEPS = 40;

/** Two arms, a claim's side, and ln of the mixture likelihood of the data: what stays the same for all lines. */
export interface Trial {
	readonly side: Side;
	readonly challenger: Sample;
	readonly baseline: Sample;
	readonly logMixture: number;
	readonly shares: ArmShares;
}

/** A value of ln M_b and the null point on the line, by its p_c, where it was met; null where no point was looked at. */
export interface NullMinimum {
	readonly value: number;
	readonly pc: number | null;
}

/** The line's part of the null, ready to be searched. */
interface Boundary {
	readonly lo: number;
	readonly hi: number;
	/** p_c at which the floor is smallest. */
	readonly centre: () => number;
	/** ln of the mixture's part of M_b, and ln M_b, at the null point with this p_c. */
	readonly floorAt: (pc: number) => number;
	readonly valueAt: (pc: number) => number;
}

/** The arms' means, and ln of the largest likelihood of the data in the box of a null point. */
interface Fit {
	readonly fitT: number;
	readonly fitC: number;
	readonly inBox: (pt: number, pc: number) => number;
}

function fitOf({ side, challenger: t, baseline: c }: Trial): Fit {
	const above = side === "above";
	// An arm without data fits any mean, so take the one that favours the null.
	const fitT = t.n === 0 ? (above ? 0 : 1) : t.sum / t.n;
	const fitC = c.n === 0 ? (above ? 1 : 0) : c.sum / c.n;
	const inBox = (pt: number, pc: number): number =>
		above
			? logLikelihood(t, Math.min(fitT, pt)) + logLikelihood(c, Math.max(fitC, pc))
			: logLikelihood(t, Math.max(fitT, pt)) + logLikelihood(c, Math.min(fitC, pc));
	return { fitT, fitC, inBox };
}

/** ln M_b: evidence against the null point b, and against every one that it dominates. */
export function logAgainst(trial: Trial, point: NullPoint, { inBox }: Pick<Fit, "inBox"> = fitOf(trial)): number {
	const { side, challenger, baseline, logMixture, shares } = trial;
	const floor = LOG_MIXTURE_SHARE + logMixture - inBox(point.pt, point.pc);
	const ratio = LOG_RATIO_SHARE + logOrthogonalRatio(side, challenger, baseline, point, shares);
	const top = Math.max(floor, ratio);
	return top === Number.POSITIVE_INFINITY ? top : top + Math.log1p(Math.exp(Math.min(floor, ratio) - top));
}

/** The boundary to search, or the answer where there is nothing to search. */
function boundaryOf(trial: Trial, contrast: Contrast): Boundary | number {
	const { side, challenger, baseline, logMixture } = trial;
	const fit = fitOf(trial);
	const { fitT, fitC, inBox } = fit;
	const gap = fitT - (contrast.slope * fitC + contrast.offset);
	// The best fit is a null point: at most 1 whatever O_b adds, and the mixture's part alone is a valid smaller value.
	if (side === "above" ? gap <= 0 : gap >= 0) return LOG_MIXTURE_SHARE + logMixture - inBox(fitT, fitC);
	const ends = segment(contrast);
	if (ends === null) return Number.POSITIVE_INFINITY;

	const floorAt = (pc: number): number => LOG_MIXTURE_SHARE + logMixture - inBox(challengerOn(contrast, pc), pc);
	const valueAt = (pc: number): number =>
		logAgainst(trial, { pt: challengerOn(contrast, pc), pc, slope: contrast.slope }, fit);
	return { ...ends, centre: () => mostLikelyOn(challenger, baseline, contrast, ends), floorAt, valueAt };
}

/** ln M_b at the line's most likely point: an upper bound of the infimum, usually within a nat of it, and cheap. */
export function atCentre(trial: Trial, contrast: Contrast): NullMinimum {
	const boundary = boundaryOf(trial, contrast);
	if (typeof boundary === "number") return { value: boundary, pc: null };
	const pc = boundary.centre();
	return { value: boundary.valueAt(pc), pc };
}

/** ln M_b at the null point on the line with this p_c: an upper bound of the infimum. */
export function logAt(trial: Trial, contrast: Contrast, pc: number): number {
	const boundary = boundaryOf(trial, contrast);
	if (typeof boundary === "number") return boundary;
	return boundary.valueAt(Math.min(boundary.hi, Math.max(boundary.lo, pc)));
}

/**
 * A value of ln M_b no larger than that at `pc`, and the infimum itself, nearly, where a neighbouring line has its own
 * at `pc`: the best of three points VALLEY_SDS standard deviations apart and of the vertex of their parabola.
 */
export function logValley(trial: Trial, contrast: Contrast, pc: number): NullMinimum {
	const boundary = boundaryOf(trial, contrast);
	if (typeof boundary === "number") return { value: boundary, pc: null };
	const { lo, hi, valueAt } = boundary;
	const inside = (p: number): number => Math.min(hi, Math.max(lo, p));
	const met = (p: number): Met => ({ x: inside(p), y: valueAt(inside(p)) });
	const width = (p: number, n: number): number => VALLEY_SDS * Math.sqrt((p * (1 - p) + 0.25 / (n + 1)) / (n + 1));
	const byT = width(challengerOn(contrast, pc), trial.challenger.n) / contrast.slope;
	const w = Math.min(width(pc, trial.baseline.n), byT);
	const [left, middle, right] = [met(pc - w), met(pc), met(pc + w)];
	const points = [left, middle, right];
	const r = (middle.x - left.x) * (middle.y - right.y);
	const s = (middle.x - right.x) * (middle.y - left.y);
	const vertex = middle.x - ((middle.x - left.x) * r - (middle.x - right.x) * s) / (2 * (r - s));
	// It is a maximum where they bend the other way.
	if (r < s && Math.abs(vertex - middle.x) <= VALLEY_REACH * w) points.push(met(vertex));
	const best = points.reduce((least, point) => (point.y < least.y ? point : least));
	return { value: best.y, pc: best.x };
}

/**
 * ln inf_b M_b. Negative when the data lie in the null; +∞ when the null is empty or impossible.
 *
 * With `enough` given a smaller value than the infimum may be returned where both are at least that.
 */
export function logNullInfimum(trial: Trial, contrast: Contrast, enough = Number.POSITIVE_INFINITY): number {
	return nullMinimum(trial, contrast, enough).value;
}

/** The same with the place; with `enough` only a value below it is sure to be the infimum's. */
export function nullMinimum(trial: Trial, contrast: Contrast, enough = Number.POSITIVE_INFINITY): NullMinimum {
	const boundary = boundaryOf(trial, contrast);
	if (typeof boundary === "number") return { value: boundary, pc: null };
	const centre = boundary.centre();
	const floor = boundary.floorAt(centre);
	if (floor >= enough) return { value: floor, pc: centre };
	const { x, y } = minimum(boundary.valueAt, searched(trial, contrast, boundary, centre, enough));
	return { value: y, pc: x };
}

/** The best point of the grid alone: within a few hundredths of a nat of the infimum, and a third cheaper. */
export function coarseMinimum(trial: Trial, contrast: Contrast): NullMinimum {
	const boundary = boundaryOf(trial, contrast);
	if (typeof boundary === "number") return { value: boundary, pc: null };
	const grid = searched(trial, contrast, boundary, boundary.centre(), Number.POSITIVE_INFINITY);
	const best = grid
		.map((x): Met => ({ x, y: boundary.valueAt(x) }))
		.reduce((least, point) => (point.y < least.y ? point : least));
	return { value: best.y, pc: best.x };
}

/** The grid of the interval in which M_b may be below `enough` and the value at the centre. */
function searched(trial: Trial, contrast: Contrast, boundary: Boundary, centre: number, enough: number): number[] {
	const { lo, hi, floorAt, valueAt } = boundary;
	const central = valueAt(centre);
	// Where the floor is enough, so is the value.
	const level = Math.min(central, enough);
	const from = whereFloorReaches(level, floorAt, centre, lo);
	const to = whereFloorReaches(level, floorAt, centre, hi);
	const marks = [from, centre, to, kinkOn(trial.side, contrast, trial.shares)].filter((p) => p >= from && p <= to);
	const perSd =
		GRID_PER_SD * Math.sqrt(Math.max(1, central / GRID_NATS)) * Math.sqrt(Math.max(1, central / GRID_FAR_NATS));
	const { challenger, baseline } = trial;
	return gridOn(contrast, marks, perSd * Math.sqrt(challenger.n), perSd * Math.sqrt(baseline.n));
}

/** The end of the interval in which the floor is below level, on the way from centre to end; rounded outwards. */
function whereFloorReaches(level: number, floorAt: (pc: number) => number, centre: number, end: number): number {
	if (!(floorAt(end) >= level)) return end;
	let inner = centre;
	let outer = end;
	for (let step = 0; step < 100 && Math.abs(outer - inner) > 0.05 * Math.abs(outer - centre); step++) {
		const middle = (inner + outer) / 2;
		if (floorAt(middle) >= level) outer = middle;
		else inner = middle;
	}
	return outer;
}

const angle = (p: number): number => Math.asin(Math.sqrt(p));

/**
 * Points between the first and last mark in order, the marks included, nowhere farther apart than either arm's arcsine
 * scale allows. `densityT`, `densityC`: points per half unit of that scale.
 */
function gridOn(contrast: Contrast, marks: readonly number[], densityT: number, densityC: number): number[] {
	const from = Math.min(...marks);
	const to = Math.max(...marks);
	const { slope, offset } = contrast;
	const stepOf = (density: number, width: number): number =>
		width / Math.min(GRID_MAX, Math.max(GRID_MIN, Math.ceil(width * 2 * density)));
	const angleT = (pc: number): number => angle(challengerOn(contrast, pc));
	const stepC = stepOf(densityC, angle(to) - angle(from));
	const stepT = slope > 0 ? stepOf(densityT, angleT(to) - angleT(from)) : 0;
	const points = [...marks];
	let p = from;
	for (let count = 0; count < 2 * GRID_MAX; count++) {
		const byC = stepC > 0 ? levelAt(angle(p) + stepC) : to;
		const byT = stepT > 0 ? (levelAt(angleT(p) + stepT) - offset) / slope : to;
		const next = Math.min(byC, byT);
		// Rounding may leave no room for a step, or the end be a step away.
		if (!(next > p && next < to)) break;
		points.push(next);
		p = next;
	}
	return points.sort((x, y) => x - y);
}

/** Inverse of `angle`; 1 beyond the scale's end. */
const levelAt = (x: number): number => (x >= Math.PI / 2 ? 1 : Math.sin(x) ** 2);

function minimum(valueAt: (p: number) => number, points: readonly number[]): Met {
	const values = points.map(valueAt);
	const lowest = Math.min(...values);
	let best: Met = { x: points[values.indexOf(lowest)] ?? 0, y: lowest };
	const within = lowest + REFINE_WITHIN_NATS + REFINE_WITHIN_SHARE * Math.abs(lowest);
	for (const [index, value] of values.entries()) {
		const before = values[index - 1] ?? Number.POSITIVE_INFINITY;
		const after = values[index + 1] ?? Number.POSITIVE_INFINITY;
		if (value > within || value > before || value > after) continue;
		const here = points[index] ?? 0;
		const met = refined(valueAt, points[index - 1] ?? here, { x: here, y: value }, points[index + 1] ?? here);
		if (met.y < best.y) best = met;
	}
	return best;
}

/** A p_c and the value there. */
interface Met {
	readonly x: number;
	readonly y: number;
}

/**
 * Smallest value met in [from, to], which has `start` inside or at an end: Brent's minimiser (parabolas through the
 * three best points, golden section where they do not help). Source: Brent 1973, Algorithms for Minimization without
 * Derivatives, ch. 5.
 */
function refined(valueAt: (p: number) => number, from: number, start: Met, to: number): Met {
	let lo = from;
	let hi = to;
	const tolerance = REFINE_TO * (to - from);
	let [best, second, third] = [start, start, start];
	let step = 0;
	let before = 0;
	for (let count = 0; count < REFINE_STEPS; count++) {
		const middle = (lo + hi) / 2;
		if (Math.abs(best.x - middle) + (hi - lo) / 2 <= 2 * tolerance) break;
		const previous = before;
		before = step;
		// The vertex of the parabola through the three; no number when they do not make one.
		const r = (best.x - second.x) * (best.y - third.y);
		const s = (best.x - third.x) * (best.y - second.y);
		const p = (best.x - second.x) * r - (best.x - third.x) * s;
		const q = 2 * (r - s);
		const vertex = best.x - p / q;
		if (
			Math.abs(previous) > tolerance &&
			vertex > lo &&
			vertex < hi &&
			Math.abs(vertex - best.x) < Math.abs(previous) / 2
		)
			step = vertex - best.x;
		else {
			before = best.x < middle ? hi - best.x : lo - best.x;
			step = GOLDEN * before;
		}
		const x = best.x + (Math.abs(step) >= tolerance ? step : best.x < middle ? tolerance : -tolerance);
		const met = { x, y: valueAt(x) };
		if (met.y <= best.y) {
			if (x < best.x) hi = best.x;
			else lo = best.x;
			[best, second, third] = [met, best, second];
		} else {
			if (x < best.x) lo = x;
			else hi = x;
			if (met.y <= second.y || second.x === best.x) [second, third] = [met, second];
			else if (met.y <= third.y || third.x === best.x || third.x === second.x) third = met;
		}
	}
	return best;
}
