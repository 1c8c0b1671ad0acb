/**
 * The calibration's distributions, lines, sizes and seeds, fixed before the first run. The true effect lies exactly on the line,
 * where false alarms are likeliest. A change after a run is a new calibration, and its commit must state that.
 */

/** Distributions of the baseline's values; the challenger's mean is moved to the line. */
export type Law =
	/** 0 or 1. `drift` is the amplitude of the rate's change, equal in both arms. */
	| { readonly of: "rate"; readonly p: number; readonly drift?: number }
	/** A unit of one to three requests fails with a probability of its own, Beta(p·spread, (1 − p)·spread): its share. */
	| { readonly of: "share"; readonly p: number; readonly spread: number }
	/** Within [0,1]: nothing with probability `zeros`, else Beta(a, b). */
	| { readonly of: "score"; readonly zeros: number; readonly a: number; readonly b: number }
	/** `growth` is the standard deviation at the end, from 1 at the start, in both arms. */
	| { readonly of: "normal"; readonly drift?: number; readonly growth?: number }
	| { readonly of: "exponential" }
	| { readonly of: "lognormal"; readonly sigma: number }
	/** Student's t with 3 degrees of freedom: the variance exists, the fourth moment does not. */
	| { readonly of: "student3" }
	/** Most units have the value 0, the others a lognormal one. */
	| { readonly of: "zero-inflated"; readonly zeros: number; readonly sigma: number }
	/** Σ successes ÷ Σ requests: units are clusters with rates and sizes of their own. */
	| { readonly of: "clustered-ratio"; readonly p: number; readonly spread: number }
	/** Ratios with a rate per unit, after and before its first exposure. */
	| { readonly of: "clustered-ratio-before"; readonly p: number; readonly spread: number }
	/** Cost per conversion: every unit costs between a half and one and a half, a share p of them converts, whatever they cost. */
	| { readonly of: "rare-denominator"; readonly p: number }
	/** `units` errors without values; the challenger's share of the load changes over equal parts. */
	| { readonly of: "errors"; readonly shares: readonly number[] }
	/** Ranks of values at the q-quantile; values within a grain are tied. */
	| { readonly of: "ranks"; readonly q: number; readonly grain: number; readonly tunedAt: number }
	/**
	 * Times in both arms, above thresholds frozen from so many of the baseline's; the load of both alike moves between its inverse
	 * and it. The challenger's times are the baseline's stretched, or few and beyond all thresholds.
	 */
	| {
			readonly of: "frozen-quantile";
			readonly q: number;
			readonly from: number;
			readonly shape: "stretched" | "few";
			readonly load: number;
	  }
	/** 0 or 1 in arms whose shares follow the outcomes, while both rates move by the drift. */
	| { readonly of: "bandit"; readonly p: number; readonly drift: number }
	/** Exposures without values. */
	| { readonly of: "assignment" }
	/** Value and the value before, with this correlation; skewed. */
	| { readonly of: "with-covariate"; readonly correlation: number };

export type MethodName =
	| "bernoulli-difference"
	| "bernoulli-ratio"
	| "betting-difference"
	| "betting-ratio"
	| "asympcs-difference"
	| "asympcs-lift"
	| "asympcs-ratio"
	| "asympcs-cuped"
	| "asympcs-cuped-ratio"
	| "averaged-difference"
	| "error-rates"
	| "quantile-bounds"
	| "quantile-test"
	| "quantile-grid"
	| "propensity-betting"
	| "srm";

export interface Scenario {
	readonly name: string;
	readonly law: Law;
	readonly method: MethodName;
	/** The true effect, challenger − baseline (÷ baseline − 1 for lifts and ratios), which is the tested line. */
	readonly line: number;
	/** Units of both arms at the last look. */
	readonly units: number;
	readonly seed: number;
	/** The challenger's share of exposed units; absent: half. Skew does not cancel between unequal arms. */
	readonly share?: number;
	/** The challenger's distribution, with the mean moved to the line; absent: the baseline's. */
	readonly challenger?: Law;
	/** Level of each claim; absent: ALPHA. A claim of an experiment has a part of its alpha. */
	readonly alpha?: number;
}

/** Each bound of the sequence is one-sided at this level. */
export const ALPHA = 0.05;

/** A ramp's allocation over the looks: [share of the looks, allocation]. */
export const RAMP: readonly (readonly [number, number])[] = [
	[0.1, 0.02],
	[0.15, 0.1],
	[0.25, 0.5],
	[0.5, 1],
];

/** Minimum units in the smaller arm for a look to count, for the table of asymptotic methods. */
export const FIRST_LOOKS = [100, 250, 500, 1_000, 2_000, 4_000] as const;

export const SCENARIOS: readonly Scenario[] = [
	{ name: "rate 80 %", law: { of: "rate", p: 0.8 }, method: "bernoulli-difference", line: 0, units: 20_000, seed: 101 },
	{
		name: "rate 80 %",
		law: { of: "rate", p: 0.8 },
		method: "bernoulli-difference",
		line: -0.01,
		units: 20_000,
		seed: 102,
	},
	{
		name: "rate 5 %",
		law: { of: "rate", p: 0.05 },
		method: "bernoulli-difference",
		line: 0.005,
		units: 20_000,
		seed: 103,
	},
	{ name: "rate 30 %", law: { of: "rate", p: 0.3 }, method: "bernoulli-ratio", line: 0.1, units: 20_000, seed: 104 },
	{
		name: "errors 0.1 %",
		law: { of: "rate", p: 0.001 },
		method: "bernoulli-difference",
		line: 0.002,
		units: 40_000,
		seed: 105,
	},
	{
		name: "errors 0.01 %",
		law: { of: "rate", p: 0.0001 },
		method: "bernoulli-difference",
		line: 0,
		units: 100_000,
		seed: 106,
	},
	{
		name: "errors 0.1 %",
		law: { of: "rate", p: 0.001 },
		method: "bernoulli-ratio",
		line: 0.5,
		units: 40_000,
		seed: 107,
	},
	{
		name: "share of a person's requests",
		law: { of: "share", p: 0.1, spread: 2 },
		method: "bernoulli-difference",
		line: 0,
		units: 20_000,
		seed: 108,
	},
	{
		name: "skewed score",
		law: { of: "score", zeros: 0, a: 0.5, b: 4 },
		method: "bernoulli-difference",
		line: 0.01,
		units: 20_000,
		seed: 109,
	},
	{
		name: "zero-inflated score",
		law: { of: "score", zeros: 0.9, a: 2, b: 2 },
		method: "bernoulli-difference",
		line: 0,
		units: 20_000,
		seed: 110,
	},
	{
		name: "drifting rate 30 % ± 20 points",
		law: { of: "rate", p: 0.3, drift: 0.2 },
		method: "bernoulli-difference",
		line: 0,
		units: 20_000,
		seed: 111,
	},
	{
		name: "drifting rate 30 % ± 20 points",
		law: { of: "rate", p: 0.3, drift: 0.2 },
		method: "bernoulli-difference",
		line: 0.02,
		units: 20_000,
		seed: 112,
	},
	{
		name: "quiet score",
		law: { of: "score", zeros: 0, a: 60, b: 15 },
		method: "betting-difference",
		line: -0.005,
		units: 10_000,
		seed: 113,
	},
	{
		name: "skewed score",
		law: { of: "score", zeros: 0, a: 0.5, b: 4 },
		method: "betting-difference",
		line: 0,
		units: 10_000,
		seed: 114,
	},
	{
		name: "zero-inflated score",
		law: { of: "score", zeros: 0.9, a: 2, b: 2 },
		method: "betting-ratio",
		line: 0.1,
		units: 10_000,
		seed: 115,
	},

	{ name: "normal", law: { of: "normal" }, method: "asympcs-difference", line: 0.1, units: 20_000, seed: 201 },
	{
		name: "normal, its spread growing twentyfold",
		law: { of: "normal", growth: 20 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 233,
	},
	{
		name: "drifting normal",
		law: { of: "normal", drift: 3 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 202,
	},
	{ name: "exponential", law: { of: "exponential" }, method: "asympcs-difference", line: 0, units: 20_000, seed: 203 },
	{ name: "exponential", law: { of: "exponential" }, method: "asympcs-lift", line: 0.05, units: 20_000, seed: 204 },
	{
		name: "lognormal σ 1",
		law: { of: "lognormal", sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 205,
	},
	{
		name: "lognormal σ 1.5",
		law: { of: "lognormal", sigma: 1.5 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 206,
	},
	{ name: "Student t, 3 df", law: { of: "student3" }, method: "asympcs-difference", line: 0, units: 20_000, seed: 207 },
	{
		name: "90 % zeros, lognormal σ 1",
		law: { of: "zero-inflated", zeros: 0.9, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 208,
	},
	{
		name: "97 % zeros, lognormal σ 1",
		law: { of: "zero-inflated", zeros: 0.97, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 20_000,
		seed: 209,
	},
	{
		name: "ratio of clusters",
		law: { of: "clustered-ratio", p: 0.2, spread: 2 },
		method: "asympcs-ratio",
		line: 0.01,
		units: 20_000,
		seed: 210,
	},
	{
		name: "skewed, covariate 0.7",
		law: { of: "with-covariate", correlation: 0.7 },
		method: "asympcs-cuped",
		line: 0,
		units: 20_000,
		seed: 211,
	},
	{
		name: "lognormal σ 1, a tenth in the challenger",
		law: { of: "lognormal", sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 50_000,
		share: 0.1,
		seed: 212,
	},
	{
		name: "lognormal σ 1.5, a tenth in the challenger",
		law: { of: "lognormal", sigma: 1.5 },
		method: "asympcs-difference",
		line: 0,
		units: 50_000,
		share: 0.1,
		seed: 213,
	},
	{
		name: "97 % zeros, lognormal σ 1, a tenth in the challenger",
		law: { of: "zero-inflated", zeros: 0.97, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 50_000,
		share: 0.1,
		seed: 214,
	},
	{
		name: "ratio of clusters, a tenth in the challenger",
		law: { of: "clustered-ratio", p: 0.2, spread: 2 },
		method: "asympcs-ratio",
		line: 0,
		units: 50_000,
		share: 0.1,
		seed: 215,
	},
	{
		name: "rate 5 %, a tenth in the challenger",
		law: { of: "rate", p: 0.05 },
		method: "bernoulli-difference",
		line: 0.005,
		units: 50_000,
		share: 0.1,
		seed: 116,
	},
	{
		name: "three arms, moving weights, one closed",
		law: { of: "assignment" },
		method: "srm",
		line: 0,
		units: 20_000,
		seed: 117,
	},
	{
		name: "lognormal σ 1.5, a third in the challenger",
		law: { of: "lognormal", sigma: 1.5 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		share: 1 / 3,
		seed: 216,
	},
	{
		name: "97 % zeros, lognormal σ 1, a third in the challenger",
		law: { of: "zero-inflated", zeros: 0.97, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		share: 1 / 3,
		seed: 217,
	},
	{
		name: "skewed, covariate 0.7, a third in the challenger",
		law: { of: "with-covariate", correlation: 0.7 },
		method: "asympcs-cuped",
		line: 0,
		units: 40_000,
		share: 1 / 3,
		seed: 218,
	},
	{
		name: "quiet score",
		law: { of: "score", zeros: 0, a: 60, b: 15 },
		method: "averaged-difference",
		line: -0.005,
		units: 10_000,
		seed: 118,
	},
	{
		name: "zero-inflated score",
		law: { of: "score", zeros: 0.9, a: 2, b: 2 },
		method: "averaged-difference",
		line: 0,
		units: 10_000,
		seed: 119,
	},
	{
		name: "errors, load moves 50 %, 10 %, 30 %, 50 %",
		law: { of: "errors", shares: [0.5, 0.1, 0.3, 0.5] },
		method: "error-rates",
		line: 0,
		units: 2_000,
		seed: 120,
	},
	{
		name: "errors, half more in the challenger",
		law: { of: "errors", shares: [0.02, 0.1, 0.5] },
		method: "error-rates",
		line: 0.5,
		units: 2_000,
		seed: 121,
	},
	{
		name: "p99 of one arm",
		law: { of: "ranks", q: 0.99, grain: 0, tunedAt: 5_000 },
		method: "quantile-bounds",
		line: 0,
		units: 10_000,
		seed: 122,
	},
	{
		name: "median of one arm, values on a grid of 20",
		law: { of: "ranks", q: 0.5, grain: 0.05, tunedAt: 1_000 },
		method: "quantile-bounds",
		line: 0,
		units: 10_000,
		seed: 123,
	},
	{
		name: "p90 of two arms",
		law: { of: "ranks", q: 0.9, grain: 0, tunedAt: 2_000 },
		method: "quantile-test",
		line: 0,
		units: 10_000,
		seed: 124,
	},
	{
		name: "30 % ± 20 points under Thompson sampling",
		law: { of: "bandit", p: 0.3, drift: 0.2 },
		method: "propensity-betting",
		line: 0,
		units: 10_000,
		seed: 125,
	},
	{
		name: "10 % ± 5 points under Thompson sampling",
		law: { of: "bandit", p: 0.1, drift: 0.05 },
		method: "propensity-betting",
		line: 0.02,
		units: 10_000,
		seed: 126,
	},
	{
		name: "ratio of clusters, the same before",
		law: { of: "clustered-ratio-before", p: 0.2, spread: 2 },
		method: "asympcs-cuped-ratio",
		line: 0.01,
		units: 20_000,
		seed: 219,
	},
	{
		name: "normal, challenger with 97 % zeros, lognormal σ 1",
		law: { of: "normal" },
		challenger: { of: "zero-inflated", zeros: 0.97, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		seed: 220,
	},
	{
		name: "normal, challenger lognormal σ 1.5",
		law: { of: "normal" },
		challenger: { of: "lognormal", sigma: 1.5 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		seed: 221,
	},
	{
		name: "normal, challenger lognormal σ 2",
		law: { of: "normal" },
		challenger: { of: "lognormal", sigma: 2 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		seed: 222,
	},
	{
		name: "normal, challenger with 90 % zeros, lognormal σ 2",
		law: { of: "normal" },
		challenger: { of: "zero-inflated", zeros: 0.9, sigma: 2 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		seed: 223,
	},
	{
		name: "normal, challenger lognormal σ 1.5, at 0.5 %",
		law: { of: "normal" },
		challenger: { of: "lognormal", sigma: 1.5 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		alpha: 0.005,
		seed: 224,
	},
	{
		name: "normal, challenger lognormal σ 2, at 0.5 %",
		law: { of: "normal" },
		challenger: { of: "lognormal", sigma: 2 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		alpha: 0.005,
		seed: 225,
	},
	{
		name: "97 % zeros, lognormal σ 1, a tenth in the challenger, at 0.5 %",
		law: { of: "zero-inflated", zeros: 0.97, sigma: 1 },
		method: "asympcs-difference",
		line: 0,
		units: 50_000,
		share: 0.1,
		alpha: 0.005,
		seed: 226,
	},
	{
		name: "normal, challenger with 90 % zeros, lognormal σ 2, at 1.25 %",
		law: { of: "normal" },
		challenger: { of: "zero-inflated", zeros: 0.9, sigma: 2 },
		method: "asympcs-difference",
		line: 0,
		units: 40_000,
		alpha: 0.0125,
		seed: 227,
	},
	{
		name: "conversions of 2 % below costs, a twentieth in the challenger",
		law: { of: "rare-denominator", p: 0.02 },
		method: "asympcs-ratio",
		line: 0,
		units: 210_000,
		share: 1 / 21,
		seed: 228,
	},
	{
		name: "conversions of 2 % below costs, a twentieth in the challenger, at 0.25 %",
		law: { of: "rare-denominator", p: 0.02 },
		method: "asympcs-ratio",
		line: 0,
		units: 210_000,
		share: 1 / 21,
		alpha: 0.0025,
		seed: 229,
	},
	{
		name: "conversions of 2 % below costs, a tenth in the challenger",
		law: { of: "rare-denominator", p: 0.02 },
		method: "asympcs-ratio",
		line: 0,
		units: 100_000,
		share: 0.1,
		seed: 230,
	},
	{
		name: "conversions of 2 % below costs, a tenth in the challenger, at 0.25 %",
		law: { of: "rare-denominator", p: 0.02 },
		method: "asympcs-ratio",
		line: 0,
		units: 100_000,
		share: 0.1,
		alpha: 0.0025,
		seed: 231,
	},
	{
		name: "p99 frozen from 5,000, few and far",
		law: { of: "frozen-quantile", q: 0.99, from: 5_000, shape: "few", load: 1 },
		method: "quantile-grid",
		line: 0,
		units: 40_000,
		seed: 128,
	},
	{
		name: "p99 frozen from 5,000, stretched",
		law: { of: "frozen-quantile", q: 0.99, from: 5_000, shape: "stretched", load: 1 },
		method: "quantile-grid",
		line: 0,
		units: 40_000,
		seed: 129,
	},
	{
		name: "p90 frozen from 500, few and far",
		law: { of: "frozen-quantile", q: 0.9, from: 500, shape: "few", load: 1 },
		method: "quantile-grid",
		line: 0,
		units: 20_000,
		seed: 130,
	},
	{
		name: "p90 frozen from 500, load from half to twice",
		law: { of: "frozen-quantile", q: 0.9, from: 500, shape: "stretched", load: 2 },
		method: "quantile-grid",
		line: 0,
		units: 20_000,
		seed: 131,
	},
];
