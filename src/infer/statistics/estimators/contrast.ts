/**
 * Challenger against baseline: difference, relative lift, and Fieller's set of lifts for a baseline near 0.
 * The arms are independent: every unit is in one of them.
 */
import type { Contrast, Estimate, Level, NoEstimate } from "./estimate.js";

/**
 * Standard errors that the baseline must be seen to lie from 0 for a lift. Nearer to it the ratio of two normal
 * variables is no normal one. With 5, a baseline that truly lies 5 from 0 gets a 95 % interval of the delta method that
 * is wrong in at most 7 % of samples, even for a lift of 200 % (in half of them it gets this reason instead); at 8 it
 * is 6 %. And it leans: one side errs more than the other. A test of a lift goes by liftContrast, which leans at no
 * distance. Measured by test/infer/statistics/estimators/coverage.test.ts.
 */
export const LIFT_BASELINE_Z_MIN = 5;

/** Challenger − baseline: variances add up. */
export function difference(challenger: Level, baseline: Level): Estimate | NoEstimate {
	const problem = problemOf(challenger, baseline);
	if (problem !== "") return { reason: problem };
	const value = challenger.value - baseline.value;
	return estimateOf("difference", value, challenger.variance, baseline.variance, {
		challenger,
		baseline,
		base: 1,
		pull: 0,
	});
}

/**
 * (Challenger − baseline) ÷ |baseline|, by the delta method. The share is of the baseline's raw level, and the noise
 * of that level is in the variance: with covariate adjustment it is larger than the adjusted one, and leaving it out
 * gives intervals that cover too seldom.
 */
export function relativeLift(challenger: Level, baseline: Level): Estimate | NoEstimate {
	const problem = problemOf(challenger, baseline);
	if (problem !== "") return { reason: problem };
	const { raw } = baseline;
	if (!(Math.abs(raw.value) >= LIFT_BASELINE_Z_MIN * Math.sqrt(raw.variance)))
		return { reason: "the baseline's level is not clearly different from 0, so a share of it means nothing" };
	const base = Math.abs(raw.value);
	const lift = (challenger.value - baseline.value) / base;
	// d lift = dA_t/|R| − dA_c/|R| − lift·dR/R.
	const pull = lift / raw.value;
	const ofBaseline = Math.max(
		0,
		baseline.variance / base ** 2 + (2 * pull * raw.covariance) / base + pull ** 2 * raw.variance,
	);
	return estimateOf("lift", lift, challenger.variance / base ** 2, ofBaseline, { challenger, baseline, base, pull });
}

/**
 * Distance of the challenger above the line "baseline plus a share `lift` of it": challenger − baseline − lift·|baseline|.
 * It is linear in the levels, so it is as normal as they are for any baseline. Use it to test a lift against a margin.
 */
export function liftContrast(challenger: Level, baseline: Level, lift: number): Estimate | NoEstimate {
	const problem = problemOf(challenger, baseline);
	if (problem !== "") return { reason: problem };
	const { raw } = baseline;
	const pull = raw.value < 0 ? 0 - lift : lift;
	const value = challenger.value - baseline.value - pull * raw.value;
	const ofBaseline = Math.max(0, baseline.variance + 2 * pull * raw.covariance + pull ** 2 * raw.variance);
	return estimateOf("difference", value, challenger.variance, ofBaseline, { challenger, baseline, base: 1, pull });
}

/** All lifts that are not excluded. */
export type LiftSet =
	| { readonly kind: "interval"; readonly lower: number; readonly upper: number }
	/** The baseline may be 0: all lifts up to `below` and all from `above` on. */
	| { readonly kind: "outside"; readonly below: number; readonly above: number }
	| { readonly kind: "everything" };

/**
 * Fieller's set (1954): every lift r for which challenger − baseline − r·|baseline| lies within `critical` standard
 * errors of 0. It covers as it should at any distance of the baseline from 0; the price is that it may be unbounded.
 * `critical` is the quantile of the law meant: 1.96 for 95 % in both directions.
 */
export function fiellerSet(challenger: Level, baseline: Level, critical: number): LiftSet | NoEstimate {
	const problem = problemOf(challenger, baseline);
	if (problem !== "") return { reason: problem };
	const { raw } = baseline;
	const z2 = critical ** 2;
	const sign = raw.value < 0 ? -1 : 1;
	const d = challenger.value - baseline.value;
	// (d − r·sign·R)² ≤ z²·(V_t + V_c + 2r·sign·C + r²·V_R), as a·r² − 2h·r + c ≤ 0.
	const a = raw.value ** 2 - z2 * raw.variance;
	const h = sign * (d * raw.value + z2 * raw.covariance);
	const c = d ** 2 - z2 * (challenger.variance + baseline.variance);
	const discriminant = h * h - a * c;
	if (a === 0 || discriminant < 0) return { kind: "everything" };
	// The root without cancellation, and the other by Viète.
	const q = h >= 0 ? h + Math.sqrt(discriminant) : h - Math.sqrt(discriminant);
	const roots = q === 0 ? [0, 0] : [q / a, c / q];
	const [lower, upper] = [Math.min(...roots), Math.max(...roots)];
	return a > 0 ? { kind: "interval", lower, upper } : { kind: "outside", below: lower, above: upper };
}

function problemOf(challenger: Level, baseline: Level): string {
	if (!(challenger.variance > 0)) return "zero variance in the challenger: its spread is not known";
	if (!(baseline.variance > 0)) return "zero variance in the baseline: its spread is not known";
	return "";
}

/** @param ofChallenger its part of the variance; so `ofBaseline` */
function estimateOf(
	scale: Estimate["scale"],
	value: number,
	ofChallenger: number,
	ofBaseline: number,
	contrast: Contrast,
): Estimate | NoEstimate {
	const variance = ofChallenger + ofBaseline;
	if (!Number.isFinite(value) || !Number.isFinite(variance) || !(variance > 0))
		return { reason: "values too large or too small for double precision" };
	const { challenger, baseline } = contrast;
	// satterthwaite() of two parts, without lists: this is done for every claim at every look.
	const inverse =
		(ofChallenger / variance) ** 2 / challenger.degreesOfFreedom +
		(ofBaseline / variance) ** 2 / baseline.degreesOfFreedom;
	return { scale, value, variance, n: challenger.n + baseline.n, degreesOfFreedom: 1 / inverse, contrast };
}

/** Gradient of an estimate in each mean of each arm. Not used by decisions. */
export function gradientOf({ contrast }: Pick<Estimate, "contrast">): {
	readonly challenger: readonly number[];
	readonly baseline: readonly number[];
} {
	const { challenger, baseline, base, pull } = contrast;
	return {
		challenger: challenger.gradient.map((slope) => slope / base),
		baseline: baseline.gradient.map((slope, i) => 0 - slope / base - pull * (baseline.rawGradient[i] ?? 0)),
	};
}

/** Degrees of freedom of a sum of independent variances: (ΣV)² ÷ Σ V²/ν (Satterthwaite 1946, Welch 1947). */
export function satterthwaite(
	parts: readonly { readonly variance: number; readonly degreesOfFreedom: number }[],
): number {
	const total = parts.reduce((sum, part) => sum + part.variance, 0);
	// As shares of the total, so that tiny variances do not vanish when squared.
	const inverse = parts.reduce((sum, part) => sum + (part.variance / total) ** 2 / part.degreesOfFreedom, 0);
	return 1 / inverse;
}
