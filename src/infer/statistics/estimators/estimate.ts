/**
 * What estimators say: a value and the variance of that value, on a named scale; or why there is none.
 */

/** Why nothing can be said. Whoever decides shows it and does not decide. */
export interface NoEstimate {
	readonly reason: string;
}

/**
 * A level of one arm: a mean, a rate, a ratio, a quantile.
 *
 * With covariate adjustment the level that is compared and the level that a share is taken of differ: the first is
 * adjusted, the second (`raw`) is what the arm's units truly did, with its own, larger variance. Without adjustment
 * they are the same number.
 */
export interface Level {
	readonly value: number;
	/** Variance of `value`, not of one unit. */
	readonly variance: number;
	/** Units. */
	readonly n: number;
	/** Of the variance; Infinity where the normal law is meant. */
	readonly degreesOfFreedom: number;
	readonly raw: {
		readonly value: number;
		readonly variance: number;
		/** Of raw value and adjusted value. */
		readonly covariance: number;
	};
	/** How value and raw value move with each of the arm's means (see MeanVector). */
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
	/** Welch–Satterthwaite; Infinity where the normal law is meant. */
	readonly degreesOfFreedom: number;
	readonly contrast: Contrast;
}

/** What an estimate is of, as far as it moves: (challenger − baseline) ÷ base − pull·(the baseline's raw level). */
export interface Contrast {
	readonly challenger: Level;
	readonly baseline: Level;
	readonly base: number;
	readonly pull: number;
}

export function isNoEstimate(result: object): result is NoEstimate {
	// Not by `in`: it is asked of every result, and a property that is not there is found out sooner.
	return (result as Partial<NoEstimate>).reason !== undefined;
}
