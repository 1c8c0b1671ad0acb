/**
 * Quantile sketch: counts of values in bins of equal ratio, the mergeable state from which quantiles are read without
 * rows. A plain JSON value.
 *
 * Stated errors. Counts are exact, and so is the rank of every bin's edge: how many values lie at or below it. A quantile
 * read from the sketch is within ACCURACY, relative, of the order statistic of that rank, whatever was merged in
 * whatever order: adding and merging are sums of whole numbers, so they are associative and commutative without rounding.
 *
 * Of the known sketches this is DDSketch with all its bins kept (Masson, Rim & Lee, "DDSketch: a fast and fully-mergeable
 * quantile sketch with relative-error guarantees", VLDB 2019, section 2.1): its bins are made by a GROUP BY in any
 * engine (events/quantileBins.ts). KLL and t-digest have no such form in SQL, and their errors hold with a probability
 * or not at all.
 */

/** Relative error of a quantile's value. */
export const ACCURACY = 0.01;

/** Ratio of a bin's edges: with it the middle of a bin is within ACCURACY of every value in it. */
export const BIN_RATIO = (1 + ACCURACY) / (1 - ACCURACY);

/** Values at or below it are one bin, numbered LOWEST_BIN: a latency of a microsecond is none, and below are nought and less. */
export const LOWEST_VALUE = 1e-3;
export const LOWEST_BIN = -1_000_000;

/** Counts by bin number, in the order of the numbers. Bin b holds (BIN_RATIO^(b−1), BIN_RATIO^b]. */
export interface QuantileSketch {
	readonly bins: readonly (readonly [bin: number, count: number])[];
}

export const NO_VALUES: QuantileSketch = { bins: [] };

/** The bin of a finite value. */
export function binOf(value: number): number {
	return value <= LOWEST_VALUE ? LOWEST_BIN : Math.ceil(Math.log(value) / Math.log(BIN_RATIO));
}

/** Where the bin ends, itself in the bin. */
export function edgeOf(bin: number): number {
	return bin === LOWEST_BIN ? LOWEST_VALUE : BIN_RATIO ** bin;
}

export function sketchOf(values: readonly number[]): QuantileSketch {
	return { bins: counted(values.map((value) => [binOf(value), 1] as const)) };
}

export function mergeSketches(a: QuantileSketch, b: QuantileSketch): QuantileSketch {
	return { bins: counted([...a.bins, ...b.bins]) };
}

export function sketchSize({ bins }: QuantileSketch): number {
	return bins.reduce((sum, [, count]) => sum + count, 0);
}

/** How many values lie at or below the edge of the bin: exact. */
export function countUpTo({ bins }: QuantileSketch, bin: number): number {
	return bins.reduce((sum, [own, count]) => (own <= bin ? sum + count : sum), 0);
}

/**
 * The value of rank ⌈q·n⌉ (the inverse of the empirical distribution function; R type 1), within ACCURACY of it; at
 * or below LOWEST_VALUE it is LOWEST_VALUE. NaN of an empty sketch or a q outside [0, 1].
 */
export function quantileOf(sketch: QuantileSketch, q: number): number {
	const size = sketchSize(sketch);
	if (size === 0 || !(q >= 0 && q <= 1)) return Number.NaN;
	const rank = Math.max(1, Math.ceil(q * size));
	let seen = 0;
	for (const [bin, count] of sketch.bins) {
		seen += count;
		if (seen < rank) continue;
		return bin === LOWEST_BIN ? LOWEST_VALUE : (2 * BIN_RATIO ** bin) / (BIN_RATIO + 1);
	}
	return Number.NaN;
}

function counted(bins: readonly (readonly [number, number])[]): QuantileSketch["bins"] {
	const counts = new Map<number, number>();
	for (const [bin, count] of bins) counts.set(bin, (counts.get(bin) ?? 0) + count);
	return [...counts].sort((a, b) => a[0] - b[0]);
}
