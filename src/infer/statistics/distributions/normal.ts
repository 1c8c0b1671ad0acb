/**
 * The standard normal distribution: each tail directly, at any distance, as a value and as a logarithm.
 *
 * Relative error below 1e-14 of the values and quantiles where the result is a normal double, of the logarithms
 * everywhere. NaN in, NaN out; a probability outside [0, 1] has the quantile NaN.
 */

const SQRT_2PI = 2.5066282746310007;
const HALF_LN_2PI = 0.9189385332046728;

/** Rational approximations of Cody, "Rational Chebyshev approximations for the error function", 1969, as scaled to
 * the normal distribution by Cox and Cody (SPECFUN's ANORM, 1993): near 0, up to √32, and beyond. */
const NEAR = 0.67448975;
const NEAR_P = [
	0.06568233791820745, 2.2352520354606837, 161.02823106855587, 1067.6894854603709, 18154.98125334356,
] as const;
const NEAR_Q = [1, 47.202581904688245, 976.0985517377767, 10260.932208618979, 45507.78933502673] as const;
const MIDDLE = 5.656854249492381;
const MIDDLE_P = [
	1.0765576773720192e-8, 0.39894151208813466, 8.883149794388377, 93.50665613217785, 597.2702763948002,
	2494.5375852903726, 6848.190450536283, 11602.65143764735, 9842.714838383978,
] as const;
const MIDDLE_Q = [
	1, 22.266688044328117, 235.387901782625, 1519.3775994075547, 6485.558298266761, 18615.571640885097, 34900.95272114598,
	38912.00328609327, 19685.429676859992,
] as const;
const FAR_P = [
	0.023073441764940174, 0.215898534057957, 0.12740116116024736, 0.022235277870649807, 0.0014216191932278934,
	2.9112874951168793e-5,
] as const;
const FAR_Q = [
	1, 1.284260096144911, 0.4682382124808651, 0.06598813786892856, 0.0037823963320275824, 7.297515550839662e-5,
] as const;

function ratio(p: readonly number[], q: readonly number[], x: number): number {
	let [above, below] = [0, 0];
	for (let i = 0; i < p.length; i++) {
		above = above * x + (p[i] as number);
		below = below * x + (q[i] as number);
	}
	return above / below;
}

/** e^(x²/2) · (1 − Φ(x)) for x ≥ NEAR: Mills' ratio / √(2π), the scaled complementary error function of x/√2 / 2. */
function scaledTail(x: number): number {
	if (x <= MIDDLE) return ratio(MIDDLE_P, MIDDLE_Q, x);
	const y = 1 / (x * x);
	return (1 / SQRT_2PI - y * ratio(FAR_P, FAR_Q, y)) / x;
}

/** exp(−x²/2) with x² split so that its rounding does not count 700 times (Cody). */
function gaussian(x: number): number {
	if (x > 40) return 0;
	const head = Math.trunc(x * 16) / 16;
	return Math.exp(-0.5 * head * head) * Math.exp(-0.5 * (x - head) * (x + head));
}

/** Φ(x) − ½ for |x| ≤ NEAR. */
function nearCentre(x: number): number {
	return x * ratio(NEAR_P, NEAR_Q, x * x);
}

/** Density. */
export function normalPdf(x: number): number {
	return gaussian(Math.abs(x)) / SQRT_2PI;
}

/** Φ(x). */
export function normalCdf(x: number): number {
	return normalSf(-x);
}

/** 1 − Φ(x), computed directly. */
export function normalSf(x: number): number {
	if (Math.abs(x) <= NEAR) return 0.5 - nearCentre(x);
	if (x > 0) return x > 40 ? 0 : gaussian(x) * scaledTail(x);
	return x < -40 ? 1 : 1 - gaussian(-x) * scaledTail(-x);
}

/** ln(1 − Φ(x)): about −x²/2 on the right, where the tail itself would be 0 from x = 38.6. */
export function logNormalSf(x: number): number {
	if (x > NEAR) return -0.5 * x * x + Math.log(scaledTail(x));
	return Math.log1p(-normalSf(-x));
}

/** Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988, PPND16. */
const CENTRE_A = [
	2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
	133.14166789178438, 3.3871328727963665,
] as const;
const CENTRE_B = [
	5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
	42.31333070160091, 1,
] as const;
const TAIL_C = [
	0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
	5.769497221460691, 4.630337846156546, 1.4234371107496835,
] as const;
const TAIL_D = [
	1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
	1.6763848301838038, 2.053191626637759, 1,
] as const;
const FAR_E = [
	2.0103343992922881e-7, 2.7115555687434876e-5, 0.0012426609473880784, 0.026532189526576124, 0.29656057182850487,
	1.7848265399172913, 5.463784911164114, 6.657904643501103,
] as const;
const FAR_F = [
	2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 0.0007868691311456133, 0.014875361290850615,
	0.1369298809227358, 0.599832206555888, 1,
] as const;

/** The x with 1 − Φ(x) = e^logQ for logQ ≤ −2.6 (q ≤ 0.075): AS 241 to r = 27, Newton on the log tail beyond. */
function tailQuantile(logQ: number): number {
	const r = Math.sqrt(-logQ);
	if (r <= 5) return ratio(TAIL_C, TAIL_D, r - 1.6);
	if (r <= 27) return ratio(FAR_E, FAR_F, r - 5);
	// ln sf(x) = −x²/2 − ln x − ½ ln 2π + O(x⁻²): start there; the slope is −x to within 1/x.
	let x = Math.sqrt(2 * (-logQ - HALF_LN_2PI - Math.log(Math.SQRT2 * r)));
	for (let step = 0; step < 3; step++) x += (logNormalSf(x) - logQ) / (x + 1 / x);
	return x;
}

/** Φ⁻¹(p): −∞ at 0, ∞ at 1. Right to p = 5e-324; close to 1 give the upper tail to normalIsf instead. */
export function normalQuantile(p: number): number {
	if (!(p >= 0 && p <= 1)) return Number.NaN;
	const q = p - 0.5;
	if (Math.abs(q) <= 0.425) {
		const r = 0.180625 - q * q;
		return q * ratio(CENTRE_A, CENTRE_B, r);
	}
	const tail = q < 0 ? p : 1 - p;
	if (tail === 0) return q < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
	const x = tailQuantile(Math.log(tail));
	return q < 0 ? -x : x;
}

/** The x with 1 − Φ(x) = q. */
export function normalIsf(q: number): number {
	return 0 - normalQuantile(q);
}

/** The x with ln(1 − Φ(x)) = logQ, for tails that no double holds; logQ ≤ 0. */
export function normalIsfLog(logQ: number): number {
	if (!(logQ <= 0)) return Number.NaN;
	if (logQ > -2.6) return logQ > -Math.LN2 ? normalQuantile(-Math.expm1(logQ)) : normalIsf(Math.exp(logQ));
	return logQ === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : tailQuantile(logQ);
}
