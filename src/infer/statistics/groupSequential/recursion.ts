/**
 * The distribution of a score with several looks that stops when it crosses a boundary.
 *
 * S has independent normal increments: S_k ~ N(drift·t_k, t_k), z_k = S_k/√t_k. The density of S_k among paths that
 * have not crossed is carried from look to look by the recursion of Armitage, McPherson & Rowe (1969):
 *
 *   g_k(y) = ∫ g_{k−1}(u) φ((y − u − drift·Δ)/√Δ)/√Δ du over the region where look k−1 went on,
 *
 * by composite Gauss–Legendre panels no wider than three of the narrower neighbouring increments' standard deviations:
 * 16 nodes then leave an error below 1e-12. Only nodes within nine standard deviations of each other meet.
 */
import { normalPdf, normalSf } from "../distributions/normal.js";
import { gaussLegendre } from "../distributions/quadrature.js";

const PANEL_NODES = 16;
const PANEL_SDS = 3;
/** Beyond so many standard deviations there is less than 1e-18 of a normal variable. */
export const REACH = 9;

/** Nodes of S_k and the probability mass that each stands for, in ascending order. */
export interface Surviving {
	readonly t: number;
	readonly scores: Float64Array;
	readonly masses: Float64Array;
}

/** Before the first look all mass is at 0. */
export const AT_START: Surviving = { t: 0, scores: Float64Array.of(0), masses: Float64Array.of(1) };

/** Probability that S crosses `score` upwards at time t, and has not crossed anything before. */
export function massAbove(before: Surviving, t: number, score: number, drift: number): number {
	return massBeyond(before, t, score, drift, 1);
}

/** The same downwards. */
export function massBelow(before: Surviving, t: number, score: number, drift: number): number {
	return massBeyond(before, t, score, drift, -1);
}

function massBeyond(before: Surviving, t: number, score: number, drift: number, sign: 1 | -1): number {
	const step = t - before.t;
	const sd = Math.sqrt(step);
	let sum = 0;
	for (let i = 0; i < before.scores.length; i++)
		sum += (before.masses[i] ?? 0) * normalSf((sign * (score - (before.scores[i] ?? 0) - drift * step)) / sd);
	return sum;
}

/**
 * The paths that continue at time t, with scores in (lower, upper). `nextStep` is the information until the look after it (any
 * positive number where there is none): the nodes must be fine enough for it too.
 */
export function survive(
	before: Surviving,
	t: number,
	region: { readonly lower: number; readonly upper: number },
	drift: number,
	nextStep: number,
): Surviving {
	const step = t - before.t;
	const sd = Math.sqrt(step);
	// Skips scores that no path reaches.
	const lower = Math.max(region.lower, drift * t - REACH * Math.sqrt(t));
	const upper = Math.min(region.upper, drift * t + REACH * Math.sqrt(t));
	if (!(upper > lower)) return { t, scores: new Float64Array(0), masses: new Float64Array(0) };
	const width = PANEL_SDS * Math.sqrt(Math.min(step, nextStep));
	const panels = Math.max(1, Math.ceil((upper - lower) / width));
	const half = (upper - lower) / panels / 2;
	const rule = gaussLegendre(PANEL_NODES);
	const scores = new Float64Array(panels * PANEL_NODES);
	const masses = new Float64Array(scores.length);
	let from = 0;
	for (let index = 0; index < scores.length; index++) {
		const panel = Math.floor(index / PANEL_NODES);
		const y = lower + half * (2 * panel + 1 + (rule.nodes[index % PANEL_NODES] ?? 0));
		// Both lists ascend, so the window of scores that can lead here only moves up.
		while (from < before.scores.length && (before.scores[from] ?? 0) < y - drift * step - REACH * sd) from++;
		let density = 0;
		for (let i = from; i < before.scores.length; i++) {
			const z = (y - (before.scores[i] ?? 0) - drift * step) / sd;
			if (z < -REACH) break;
			density += (before.masses[i] ?? 0) * normalPdf(z);
		}
		scores[index] = y;
		masses[index] = (density / sd) * half * (rule.weights[index % PANEL_NODES] ?? 0);
	}
	return { t, scores, masses };
}
