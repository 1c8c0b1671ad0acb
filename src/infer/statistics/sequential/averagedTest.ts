/**
 * Two sequential tests of the same claim as one: the mean of their e-values. It is decided beforehand, so nothing is
 * chosen after seeing data, and the power is nearly that of whichever is better.
 *
 * Valid. Each of the two, an infimum over null points, is under every null point P at most a non-negative
 * P-supermartingale that starts at 1, M_a or M_b. So their mean is at most (M_a + M_b)/2, which is again such a
 * supermartingale, whatever the two have to do with each other, and by Ville's inequality it ever reaches 1/alpha with
 * probability at most alpha. The larger of the two would be no such thing.
 *
 * Cost: (E_a + E_b)/2 is at least half of either, so ln 2 = 0.69 nats against the better one, of some 7 to 9 that a
 * proof takes in all. To prove at alpha 1/60 that a score of mean 0.90 is not more than 0.01 worse, units per arm:
 * coins 26,921 (the mixture alone 24,741), uniform within ± 0.1 1,124 (betting alone 1,008).
 */
import type { Side } from "./bernoulliArms.js";
import type { Bounds } from "./bernoulliBounds.js";

/** A test of two arms' means against a line that is named by one number, such as their difference or their ratio. */
export interface LineTest {
	/** ln e for the claim that the truth lies above (below) x; for "above" it falls in x, for "below" it rises. */
	readonly logE: (side: Side, x: number) => number;
	/** The farthest lines that are proved, each at its own level, within the range of x; searched for when read. */
	readonly bounds: (lowerAlpha: number, upperAlpha: number) => Bounds;
}

/** Precision of a bound; it errs on the side of the wider interval. */
const PRECISION = 1e-9;

export function averagedTest(a: LineTest, b: LineTest): LineTest {
	const logE = (side: Side, x: number): number => logMean(a.logE(side, x), b.logE(side, x));
	return {
		logE,
		bounds: (lowerAlpha, upperAlpha) => {
			const whole = [a, b].map((test) => test.bounds(lowerAlpha, upperAlpha));
			// At half the level one alone proves the line by the mean; at the whole level neither does beyond it.
			const half = [a, b].map((test) => test.bounds(lowerAlpha / 2, upperAlpha / 2));
			let lower: number | null = null;
			let upper: number | null = null;
			return {
				get lower() {
					const most = (bounds: readonly Bounds[]): number => Math.max(...bounds.map((each) => each.lower));
					lower ??= lastProved(most(half), most(whole), (x) => logE("above", x) + Math.log(lowerAlpha));
					return lower;
				},
				get upper() {
					const least = (bounds: readonly Bounds[]): number => -Math.min(...bounds.map((each) => each.upper));
					upper ??= -lastProved(least(half), least(whole), (x) => logE("below", -x) + Math.log(upperAlpha));
					return upper;
				},
			};
		},
	};
}

/** ln of the mean of e^x and e^y. */
export function logMean(x: number, y: number): number {
	const top = Math.max(x, y);
	return Number.isFinite(top) ? top + Math.log1p(Math.exp(Math.min(x, y) - top)) - Math.LN2 : top;
}

/**
 * The largest x between a proved line and one that may not be, to PRECISION and itself proved. By the Illinois
 * variant of regula falsi: the excess is smooth and nearly straight between lines so near to each other.
 */
function lastProved(proved: number, open: number, excess: (x: number) => number): number {
	let [good, bad] = [proved, open];
	if (!(bad - good > PRECISION)) return good;
	let [yGood, yBad] = [excess(good), excess(bad)];
	if (yBad >= 0) return bad;
	// Where nothing is proved the search ends at the end of the range.
	if (yGood < 0) return good;
	let last: "good" | "bad" | null = null;
	for (let step = 0; step < 100 && bad - good > PRECISION; step++) {
		const secant = good + ((bad - good) * yGood) / (yGood - yBad);
		const near = PRECISION / 2;
		// Every fourth step halves, whatever the shape.
		const x = step % 4 === 3 ? (good + bad) / 2 : Math.min(bad - near, Math.max(good + near, secant));
		const y = excess(x);
		if (y >= 0) {
			if (last === "good") yBad /= 2;
			[good, yGood, last] = [x, y, "good"];
		} else {
			if (last === "bad") yGood /= 2;
			[bad, yBad, last] = [x, y, "bad"];
		}
	}
	return good;
}
