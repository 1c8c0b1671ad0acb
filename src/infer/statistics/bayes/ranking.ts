/**
 * Which arm is best: for any number of arms the chance to be best and second best and the expected loss of choosing
 * each, by deterministic quadrature over their posteriors (panels.ts). No random draws: the same aggregates give the
 * same bytes, and there is no Monte-Carlo error to hide behind. Absolute error of chances below 1e-10.
 *
 * With f_i the density of arm i's mean and B_j(x) the chance that arm j is worse than x (its distribution function
 * where up is better, its survival function where down is):
 *
 *   best_i   = ∫ f_i Π_{j≠i} B_j
 *   second_i = ∫ f_i Σ_{j≠i} (1 − B_j) Π_{k≠i,j} B_k
 *   loss_i   = E[best mean − mean of i]⁺ = ∫ B_i (1 − Π_{j≠i} B_j) dx          (turned round where down is better)
 *
 * The loss has only positive terms, so it keeps its digits where it is a millionth of the mean; E[best] − E[i] would
 * not. Arms are independent, as units are.
 */
import { type Laid, lay } from "./panels.js";
import type { ArmPosteriors } from "./posterior.js";

/** Which way a metric improves. */
export type Direction = "up" | "down";

/** By arm, in the order given. */
export interface Ranking {
	/** Chance to be best; they sum to 1. */
	readonly best: readonly number[];
	/** Chance to be second best; they sum to 1 from two arms on. */
	readonly second: readonly number[];
	/** What choosing the arm costs on average against the arm that is truly best, in the metric's unit. */
	readonly loss: readonly number[];
}

/** The ranking of one or more arms. RangeError for parameters that are no distribution. */
export function ranking(posteriors: ArmPosteriors, direction: Direction): Ranking {
	const { arms } = posteriors;
	if (arms.length === 0) return { best: [], second: [], loss: [] };
	if (arms.length === 1) return { best: [1], second: [0], loss: [0] };
	const laid = lay(posteriors);
	const worse = direction === "up" ? laid.below : laid.above;
	const better = direction === "up" ? laid.above : laid.below;
	return overNodes(laid, worse, better);
}

function overNodes(laid: Laid, worse: readonly Float64Array[], better: readonly Float64Array[]): Ranking {
	const count = worse.length;
	const best = new Array<number>(count).fill(0);
	const second = new Array<number>(count).fill(0);
	const loss = new Array<number>(count).fill(0);
	// The chance at one x, for the arms from an index on, that none is better, that exactly one is, that some is.
	const none = new Float64Array(count + 1).fill(1);
	const one = new Float64Array(count + 1);
	const some = new Float64Array(count + 1);
	for (let node = 0; node < laid.axisWeights.length; node++) {
		const axis = laid.axisWeights[node] as number;
		const value = laid.valueWeights[node] as number;
		for (let arm = count - 1; arm > 0; arm--) {
			const w = (worse[arm] as Float64Array)[node] as number;
			const b = (better[arm] as Float64Array)[node] as number;
			none[arm] = w * (none[arm + 1] as number);
			one[arm] = b * (none[arm + 1] as number) + w * (one[arm + 1] as number);
			some[arm] = b + w * (some[arm + 1] as number);
		}
		// The same of the arms before it.
		let noneBefore = 1;
		let oneBefore = 0;
		let someBefore = 0;
		for (let arm = 0; arm < count; arm++) {
			const w = (worse[arm] as Float64Array)[node] as number;
			const b = (better[arm] as Float64Array)[node] as number;
			const noneAfter = none[arm + 1] as number;
			const mass = axis * ((laid.density[arm] as Float64Array)[node] as number);
			best[arm] = (best[arm] as number) + mass * noneBefore * noneAfter;
			second[arm] = (second[arm] as number) + mass * (oneBefore * noneAfter + noneBefore * (one[arm + 1] as number));
			loss[arm] = (loss[arm] as number) + value * w * (someBefore + noneBefore * (some[arm + 1] as number));
			oneBefore = b * noneBefore + w * oneBefore;
			someBefore += noneBefore * b;
			noneBefore *= w;
		}
	}
	return { best: normalised(best), second: normalised(second), loss };
}

/** Rounding leaves the sum a few 1e-15 off 1. */
function normalised(chances: readonly number[]): number[] {
	const sum = chances.reduce((total, chance) => total + chance, 0);
	return chances.map((chance) => chance / sum);
}
