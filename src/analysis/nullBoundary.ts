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
import { logOrthogonalRatio } from "./orthogonalRatio.js";

export const TUNE = { lwMix: Math.log(0.5), lwOrth: Math.log(0.5) };

const addLogs = (x: number, y: number): number => {
	const top = Math.max(x, y);
	return Number.isFinite(top) ? top + Math.log1p(Math.exp(Math.min(x, y) - top)) : top;
};

/** Points per standard deviation of the finer arm. */
const PER_SD = 2;
const MIN_POINTS = 8;
const MAX_POINTS = 64;

export function logEvidenceAtBoundary(
	side: Side,
	t: Sample,
	c: Sample,
	contrast: Contrast,
	shares: ArmShares,
	logMix: number,
	bar: number | null,
): number {
	const favour = side === "above" ? 0 : 1;
	const mt = t.n === 0 ? favour : t.sum / t.n;
	const mc = c.n === 0 ? 1 - favour : c.sum / c.n;
	const gap = mt - (contrast.slope * mc + contrast.offset);
	if (side === "above" ? gap <= 0 : gap >= 0) return TUNE.lwMix + logMix - logLikelihood(t, mt) - logLikelihood(c, mc);
	const ends = segment(contrast);
	if (ends === null) return Number.POSITIVE_INFINITY;
	const floorAt = (pc: number): number => {
		const pt = challengerOn(contrast, pc);
		const inBox =
			side === "above"
				? logLikelihood(t, Math.min(mt, pt)) + logLikelihood(c, Math.max(mc, pc))
				: logLikelihood(t, Math.max(mt, pt)) + logLikelihood(c, Math.min(mc, pc));
		return TUNE.lwMix + logMix - inBox;
	};
	const at = (pc: number): number =>
		addLogs(
			floorAt(pc),
			TUNE.lwOrth + logOrthogonalRatio(side, t, c, challengerOn(contrast, pc), pc, contrast.slope, shares),
		);
	const centre = mostLikelyOn(t, c, contrast, ends);
	const floor = floorAt(centre);
	if (floor === Number.POSITIVE_INFINITY) return floor;
	if (bar !== null && floor >= bar) return floor;
	let best = at(centre);
	if (bar !== null && best < bar) return best;
	const level = bar ?? best;
	const from = reach(floorAt, centre, ends.lo, level);
	const to = reach(floorAt, centre, ends.hi, level);
	const points = grid(contrast, from, to, centre, Math.max(t.n, c.n));
	const values = points.map(at);
	best = Math.min(best, ...values);
	for (let i = 0; i < points.length; i++) {
		const v = values[i] as number;
		if (v > (values[i - 1] ?? Infinity) || v > (values[i + 1] ?? Infinity)) continue;
		if (v > best + 1) continue;
		best = Math.min(best, golden(at, points[i - 1] ?? from, points[i + 1] ?? to));
	}
	return best;
}

function reach(floorAt: (pc: number) => number, centre: number, end: number, level: number): number {
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

function grid(contrast: Contrast, from: number, to: number, centre: number, n: number): number[] {
	const points = [from, to, centre];
	const angle = (p: number): number => Math.asin(Math.sqrt(Math.min(1, Math.max(0, p))));
	const scales = [{ lo: angle(from), hi: angle(to), pc: (p: number) => p }];
	if (contrast.slope > 0)
		scales.push({
			lo: angle(challengerOn(contrast, from)),
			hi: angle(challengerOn(contrast, to)),
			pc: (p: number) => (p - contrast.offset) / contrast.slope,
		});
	for (const { lo, hi, pc } of scales) {
		const count = Math.min(MAX_POINTS, Math.max(MIN_POINTS, Math.ceil((hi - lo) * 2 * Math.sqrt(n) * PER_SD)));
		for (let i = 1; i < count; i++)
			points.push(Math.min(to, Math.max(from, pc(Math.sin(lo + ((hi - lo) * i) / count) ** 2))));
	}
	return points.sort((x, y) => x - y);
}

const GOLD = (Math.sqrt(5) - 1) / 2;

function golden(at: (p: number) => number, lo: number, hi: number): number {
	let x = hi - GOLD * (hi - lo);
	let y = lo + GOLD * (hi - lo);
	let fx = at(x);
	let fy = at(y);
	for (let step = 0; step < 26; step++) {
		if (fx < fy) {
			hi = y;
			y = x;
			fy = fx;
			x = hi - GOLD * (hi - lo);
			fx = at(x);
		} else {
			lo = x;
			x = y;
			fx = fy;
			y = lo + GOLD * (hi - lo);
			fy = at(y);
		}
	}
	return Math.min(fx, fy);
}
