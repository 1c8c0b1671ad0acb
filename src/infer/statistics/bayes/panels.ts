/**
 * Several posteriors laid over one grid of panels: at every node the density, distribution and survival function of
 * each arm. No special function is called: the density is known up to its constant, and distribution and survival
 * are its integrals within each panel by spectral integration at Gauss–Legendre nodes, added up from the left and
 * from the right, so that neither tail is 1 − the other.
 *
 * Rates are laid out on the logit scale, where a Beta(a, b) has its mode at ln(a/b), looks nearly normal for large
 * a and b, and has exponential tails for small ones; a million conversions are as easy as ten. Panels begin and end
 * at fixed multiples of each arm's width, so an integrand made of several arms is smooth within each of them.
 */
import { gaussLegendre } from "../distributions/quadrature.js";
import type { ArmPosteriors, BetaPosterior, GaussianPosterior } from "./posterior.js";

/** Nodes of a panel: 20 give about 12 digits for panels of up to 2.5 standard deviations. */
const NODES = 20;

/** Ends of panels in widths from the mode; further out they go on by TAIL_STEP until END_NATS are lost. */
const MARKS: readonly number[] = [0, 1, 2, 3.5, 5, 7, 9.5];
const TAIL_STEP = 1.4;

/** A density this many nats below its top is no part of the arm: e^−42 is below a double's last digit. */
const END_NATS = 42;

/** On the logit scale the rate itself bends within |logit| < 40: panels there are no longer than this. */
const LOGIT_PANEL_MAX = 2.5;
const LOGIT_BENDS = 40;

const { nodes, weights } = gaussLegendre(NODES);

/** Row k, column j: weight of the value at node j in ∫ from −1 to node k of the polynomial through all values. */
const FROM_LEFT: Float64Array = integrationMatrix();

/**
 * The Lagrange polynomials in Legendre's: ℓ_j = w_j Σ_m (m + ½) P_m(x_j) P_m, and ∫ P_m = (P_{m+1} − P_{m−1})/(2m + 1)
 * with P_{−1} = −1 (NIST DLMF 18.9.1, 18.9.21).
 */
function integrationMatrix(): Float64Array {
	const legendre = Array.from(nodes, (x) => {
		const values = [1, x];
		for (let m = 1; m < NODES; m++)
			values.push(((2 * m + 1) * x * (values[m] as number) - m * (values[m - 1] as number)) / (m + 1));
		return values;
	});
	const matrix = new Float64Array(NODES * NODES);
	for (const [k, at] of legendre.entries())
		for (const [j, from] of legendre.entries()) {
			let sum = 0;
			for (let m = 0; m < NODES; m++) sum += (from[m] as number) * ((at[m + 1] as number) - (at[m - 1] ?? -1));
			matrix[k * NODES + j] = (sum * (weights[j] as number)) / 2;
		}
	return matrix;
}

/** One arm on the grid's axis: a density without its constant, 1 at `mode`. */
interface Shape {
	readonly mode: number;
	readonly width: number;
	readonly logDensity: (x: number) => number;
}

/** All arms at all nodes; `[arm][node]`, nodes in rising order. */
export interface Laid {
	/** Weight of each node for integrals over the axis on which densities are. */
	readonly axisWeights: Float64Array;
	/** Weight of each node for integrals over the mean itself. */
	readonly valueWeights: Float64Array;
	readonly density: readonly Float64Array[];
	readonly below: readonly Float64Array[];
	readonly above: readonly Float64Array[];
}

/** Lays the arms out. RangeError for a width or parameter that is not positive and finite. */
export function lay(posteriors: ArmPosteriors): Laid {
	const logit = posteriors.family === "beta";
	const shapes = logit ? posteriors.arms.map(betaShape) : gaussianShapes(posteriors.arms);
	const extents = shapes.map(marksOf);
	const edges = panelEdges(extents.flat(), logit);
	const panels = edges.length - 1;
	const axisWeights = new Float64Array(panels * NODES);
	const valueWeights = new Float64Array(panels * NODES);
	const points = new Float64Array(panels * NODES);
	for (let panel = 0; panel < panels; panel++) {
		const lo = edges[panel] ?? 0;
		const half = ((edges[panel + 1] ?? 0) - lo) / 2;
		for (let k = 0; k < NODES; k++) {
			const x = lo + half * (1 + (nodes[k] as number));
			const weight = half * (weights[k] as number);
			points[panel * NODES + k] = x;
			axisWeights[panel * NODES + k] = weight;
			valueWeights[panel * NODES + k] = logit ? weight * logisticSlope(x) : weight;
		}
	}
	const curves = shapes.map((shape, arm) => curve(shape, extents[arm] ?? [], edges, points));
	return {
		axisWeights,
		valueWeights,
		density: curves.map(({ density }) => density),
		below: curves.map(({ below }) => below),
		above: curves.map(({ above }) => above),
	};
}

function betaShape({ a, b }: BetaPosterior): Shape {
	if (!(a > 0 && b > 0 && Number.isFinite(a + b))) throw new RangeError(`Beta(${a}, ${b}) is no distribution`);
	const mode = Math.log(a / b);
	const share = a / (a + b);
	return {
		mode,
		width: Math.sqrt(1 / a + 1 / b),
		// a·d − (a+b)·ln((1 + e^(mode+d))/(1 + e^mode)): no difference of large numbers for a and b in the millions.
		logDensity: (x) => {
			const d = x - mode;
			// Beyond 700 the exponential overflows; there the density is that of the tail alone.
			if (d > 700) return a * d - (a + b) * (d + Math.log(share));
			return a * d - (a + b) * Math.log1p(share * Math.expm1(d));
		},
	};
}

function gaussianShapes(arms: readonly GaussianPosterior[]): readonly Shape[] {
	// Differences are all that counts; means of 10⁹ with errors of 10⁻³ would lose their digits.
	const origin = arms[0]?.mean ?? 0;
	return arms.map(({ mean, sd }) => {
		if (!(sd > 0 && Number.isFinite(sd) && Number.isFinite(mean)))
			throw new RangeError(`mean ${mean} with standard deviation ${sd} is no distribution`);
		const mode = mean - origin;
		return { mode, width: sd, logDensity: (x) => -0.5 * ((x - mode) / sd) ** 2 };
	});
}

/** Rising marks of one arm, out to where its density is lost on both sides. */
function marksOf({ mode, width, logDensity }: Shape): readonly number[] {
	const side = (sign: 1 | -1): number[] => {
		const marks: number[] = [];
		for (let step = 1; ; step++) {
			const last = MARKS[MARKS.length - 1] ?? 1;
			const at = MARKS[step] ?? last * TAIL_STEP ** (step - MARKS.length + 1);
			const x = mode + sign * at * width;
			marks.push(x);
			if (!(logDensity(x) > -END_NATS)) return marks;
		}
	};
	return [...side(-1).reverse(), mode, ...side(1)];
}

function panelEdges(marks: readonly number[], logit: boolean): number[] {
	const sorted = [...new Set(marks)].sort((x, y) => x - y);
	const edges: number[] = [];
	for (const [index, mark] of sorted.entries()) {
		const before = sorted[index - 1];
		if (before !== undefined && logit) {
			const bends = before < LOGIT_BENDS && mark > -LOGIT_BENDS;
			const parts = bends ? Math.ceil((mark - before) / LOGIT_PANEL_MAX) : 1;
			for (let part = 1; part < parts; part++) edges.push(before + ((mark - before) * part) / parts);
		}
		edges.push(mark);
	}
	return edges;
}

/** p(1 − p) at logit x, the derivative of the rate. */
function logisticSlope(x: number): number {
	const e = Math.exp(-Math.abs(x));
	return e / ((1 + e) * (1 + e));
}

interface Curve {
	readonly density: Float64Array;
	readonly below: Float64Array;
	readonly above: Float64Array;
}

function curve(shape: Shape, marks: readonly number[], edges: readonly number[], points: Float64Array): Curve {
	const first = marks[0] ?? 0;
	const last = marks[marks.length - 1] ?? 0;
	const panels = edges.length - 1;
	const density = new Float64Array(points.length);
	const below = new Float64Array(points.length);
	const above = new Float64Array(points.length);
	const mass = new Float64Array(panels);
	for (let panel = 0; panel < panels; panel++) {
		const lo = edges[panel] as number;
		if (lo < first || lo >= last) continue;
		const half = ((edges[panel + 1] as number) - lo) / 2;
		const start = panel * NODES;
		let sum = 0;
		for (let k = 0; k < NODES; k++) {
			const value = Math.exp(shape.logDensity(points[start + k] as number));
			density[start + k] = value;
			sum += (weights[k] as number) * value;
		}
		mass[panel] = half * sum;
		for (let k = 0; k < NODES; k++) {
			let left = 0;
			for (let j = 0; j < NODES; j++) left += (FROM_LEFT[k * NODES + j] as number) * (density[start + j] as number);
			below[start + k] = half * left;
			above[start + k] = half * (sum - left);
		}
	}
	let total = 0;
	for (const part of mass) total += part;
	addUp(below, mass, total, 1);
	addUp(above, mass, total, -1);
	for (let index = 0; index < density.length; index++) density[index] = (density[index] as number) / total;
	return { density, below, above };
}

/** Adds the mass of the panels passed, from the left (1) or the right (−1), and makes the whole 1. */
function addUp(part: Float64Array, mass: Float64Array, total: number, way: 1 | -1): void {
	let passed = 0;
	for (let step = 0; step < mass.length; step++) {
		const panel = way === 1 ? step : mass.length - 1 - step;
		for (let k = 0; k < NODES; k++) {
			const index = panel * NODES + k;
			// Interpolation may overshoot by an ulp of the panel's mass.
			const share = (passed + (part[index] as number)) / total;
			part[index] = Math.min(1, Math.max(0, share));
		}
		passed += mass[panel] as number;
	}
}
