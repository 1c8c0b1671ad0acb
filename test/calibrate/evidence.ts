/**
 * One-sided bounds of a probability from counts with 99 % confidence (Clopper and Pearson, Biometrika 1934), which decide the
 * calibration.
 */
import { betaQuantile } from "../../src/infer/statistics/distributions/beta.js";
import { ALPHA } from "./scenarios.js";

const CONFIDENCE = 0.99;

/** The probability is at most this. */
export function upper99(count: number, of: number): number {
	return count >= of ? 1 : betaQuantile(CONFIDENCE, count + 1, of - count);
}

/** The probability is at least this. */
export function lower99(count: number, of: number): number {
	return count <= 0 ? 0 : betaQuantile(1 - CONFIDENCE, count, of - count + 1);
}

/** within: at most alpha by the bound. undecided: no evidence of more. excess: evidence of more than alpha. */
export type Verdict = "within" | "undecided" | "excess";

/** Compares the number of experiments with a false alarm with alpha. */
export function verdictOf(falseAlarms: number, experiments: number, alpha = ALPHA): Verdict {
	if (upper99(falseAlarms, experiments) <= alpha) return "within";
	return lower99(falseAlarms, experiments) > alpha ? "excess" : "undecided";
}
