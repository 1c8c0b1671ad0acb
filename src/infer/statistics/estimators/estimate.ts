/** The result of an estimator: a value and its variance on a named scale, or the reason why there is none. */

/** Why there is no estimate; shown instead of a decision. */
export interface NoEstimate {
	readonly reason: string;
}

/**
 * A level of one arm: a mean, a rate, a ratio, a quantile.
 *
 * With covariate adjustment `value` is the adjusted level, for comparisons, and `raw` the level without adjustment, the base of
 * relative effects, with its own, larger variance. Without adjustment they are equal.
 */
export interface Level {
	readonly value: number;
	/** Variance of `value`, not of one unit. */
	readonly variance: number;
	/** Units. */
	readonly n: number;
	/** Degrees of freedom of the variance; Infinity = normal. */
	readonly degreesOfFreedom: number;
	readonly raw: {
		readonly value: number;
		readonly variance: number;
		/** Between raw value and adjusted value. */
		readonly covariance: number;
	};
	/** Gradients of value and raw value in the arm's means (see MeanVector). */
	readonly gradient: readonly number[];
	readonly rawGradient: readonly number[];
}

/** Challenger against baseline. */
export interface Estimate {
	/** difference: challenger − baseline, in the metric's unit. lift: that ÷ |baseline|, 0.05 is 5 % more. */
	readonly scale: "difference" | "lift";
	readonly value: number;
	/** Variance of `value`. */
	readonly variance: number;
	/** Units of both arms. */
	readonly n: number;
	/** Welch–Satterthwaite degrees of freedom; Infinity = normal. */
	readonly degreesOfFreedom: number;
	readonly contrast: Contrast;
}

/** The linear part of an estimate: (challenger − baseline) ÷ base − pull·(the baseline's raw level). */
export interface Contrast {
	readonly challenger: Level;
	readonly baseline: Level;
	readonly base: number;
	readonly pull: number;
}

export function isNoEstimate(result: object): result is NoEstimate {
	// Faster than `in`, and called for every result.
	return (result as Partial<NoEstimate>).reason !== undefined;
}
