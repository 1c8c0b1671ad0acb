import type { Level, NoEstimate } from "./estimate.js";
import { levelOf, type MeanVector } from "./meanVector.js";

/** Mean of one value per unit: variance s²/n with the unbiased s². */
export function meanLevel(vector: MeanVector): Level | NoEstimate {
	return levelOf(vector, vector.means[0] ?? Number.NaN, unit(vector, [1]));
}

/**
 * Ratio of sums ΣS ÷ ΣN over units, variables (S, N): revenue per order, errors per request, any mean over the
 * several requests of a unit. Var = (V_S − 2R·C_SN + R²·V_N)/N̄² (delta method; Deng, Knoblich & Lu 2018, section 2).
 */
export function ratioLevel(vector: MeanVector): Level | NoEstimate {
	const [numerator, denominator] = [vector.means[0] ?? Number.NaN, vector.means[1] ?? Number.NaN];
	const gradient = ratioGradient(numerator, denominator);
	if (gradient === null) return { reason: "the denominator of the ratio is 0" };
	return levelOf(vector, numerator / denominator, unit(vector, gradient));
}

/** Gradient of a/b in (a, b), or null where there is none. */
export function ratioGradient(numerator: number, denominator: number): readonly [number, number] | null {
	if (denominator === 0) return null;
	return [1 / denominator, -numerator / denominator ** 2];
}

/** The gradient filled up with zeros for the variables that play no part. */
function unit(vector: MeanVector, gradient: readonly number[]): readonly number[] {
	return vector.means.map((_, i) => gradient[i] ?? 0);
}
