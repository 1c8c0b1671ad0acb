/** The calibrated methods, each with the product's own functions: whether the line is excluded from above or below. */

import { difference, liftContrast } from "../../src/infer/statistics/estimators/contrast.js";
import { cupedLevel, cupedRatioLevel } from "../../src/infer/statistics/estimators/cuped.js";
import { denominatorProblem } from "../../src/infer/statistics/estimators/denominators.js";
import {
	type Estimate,
	isNoEstimate,
	type Level,
	type NoEstimate,
} from "../../src/infer/statistics/estimators/estimate.js";
import { meanLevel, ratioLevel } from "../../src/infer/statistics/estimators/level.js";
import {
	type MeanVector,
	meanVectorOf,
	meanVectorOfMoments,
} from "../../src/infer/statistics/estimators/meanVector.js";
import { averagedTest } from "../../src/infer/statistics/sequential/averagedTest.js";
import type { Contrast, Sample, Side } from "../../src/infer/statistics/sequential/bernoulliArms.js";
import {
	type BetaPrior,
	logEvidence,
	PRIOR_RARE,
	PRIOR_RATE,
} from "../../src/infer/statistics/sequential/bernoulliMixture.js";
import { differenceLine, logBettingEvidence } from "../../src/infer/statistics/sequential/betting.js";
import { tailsProblem } from "../../src/infer/statistics/sequential/tails.js";
import { asympBounds, meanAdjustment, ratioAdjustment } from "../infer/statistics/formulas.js";
import type { ArmSample } from "./sample.js";
import { ALPHA, type Scenario } from "./scenarios.js";

/** Claims that a look makes, each wrong here: above or below the line at the level, or (each side at half of it) the line left out. */
export interface Claims {
	readonly above: boolean;
	readonly below: boolean;
	readonly missed: boolean;
}

const NO_CLAIM: Claims = { above: false, below: false, missed: false };

export interface Method {
	/** Exact: the error is bounded at every sample size, by a proof. */
	readonly exact: boolean;
	readonly claims: (challenger: ArmSample, baseline: ArmSample) => Claims;
}

/** null: no comparison of values (see assignment.ts, events.ts). */
export function methodOf({ method, line, law, alpha = ALPHA }: Scenario): Method | null {
	switch (method) {
		case "bernoulli-difference":
			return bernoulli({ slope: 1, offset: line }, priorOf(law));
		case "bernoulli-ratio":
			return bernoulli({ slope: 1 + line, offset: 0 }, priorOf(law));
		case "betting-difference":
			return betting({ slope: 1, offset: line });
		case "betting-ratio":
			return betting({ slope: 1 + line, offset: 0 });
		case "averaged-difference":
			return averaged(line);
		case "srm":
		case "error-rates":
		case "quantile-bounds":
		case "quantile-test":
		case "quantile-grid":
		case "propensity-betting":
			return null;
		case "asympcs-difference":
			return asymptotic(alpha, line, (t, c) => contrast(meanOf(t), meanOf(c)));
		case "asympcs-lift":
			return asymptotic(alpha, 0, (t, c) => {
				const [challenger, baseline] = [meanOf(t), meanOf(c)];
				if (isNoEstimate(challenger) || isNoEstimate(baseline)) return { reason: "no estimate" };
				return liftContrast(challenger, baseline, line);
			});
		case "asympcs-ratio":
			return asymptotic(alpha, line, (t, c) => contrast(ratioOf(t), ratioOf(c)), true);
		case "asympcs-cuped":
			return asymptotic(alpha, line, (t, c) => {
				const adjustment = meanAdjustment([t.coMoments(), c.coMoments()]);
				if (isNoEstimate(adjustment)) return adjustment;
				const level = (arm: ArmSample): Level | NoEstimate =>
					over(meanVectorOf(2, arm.coMoments()), (vector) => cupedLevel(vector, adjustment));
				return contrast(level(t), level(c));
			});
		case "asympcs-cuped-ratio":
			return asymptotic(
				alpha,
				line,
				(t, c) => {
					const adjustment = ratioAdjustment([t.coMoments(), c.coMoments()]);
					if (isNoEstimate(adjustment)) return adjustment;
					const level = (arm: ArmSample): Level | NoEstimate =>
						over(meanVectorOf(4, arm.coMoments()), (vector) => cupedRatioLevel(vector, adjustment));
					return contrast(level(t), level(c));
				},
				true,
			);
	}
}

/** As analyse() chooses it: rare things have the prior of rare things. */
const priorOf = (law: Scenario["law"]): BetaPrior => ("p" in law && law.p <= 0.01 ? PRIOR_RARE : PRIOR_RATE);

/** Claims by the log e-value against the null on either side of the line. */
function exact(evidence: (side: Side, challenger: ArmSample, baseline: ArmSample) => number): Method {
	const [whole, half] = [-Math.log(ALPHA), -Math.log(ALPHA / 2)];
	return {
		exact: true,
		claims: (challenger, baseline) => {
			if (challenger.n === 0 || baseline.n === 0) return NO_CLAIM;
			const above = evidence("above", challenger, baseline);
			const below = evidence("below", challenger, baseline);
			return { above: above >= whole, below: below >= whole, missed: Math.max(above, below) >= half };
		},
	};
}

const sums = (arm: ArmSample): Sample => ({ n: arm.n, sum: arm.n * arm.moments().mean });

const bernoulli = (line: Contrast, prior: BetaPrior): Method =>
	exact((side, t, c) => logEvidence(side, sums(t), sums(c), line, prior));

/** As analyse() tests a mean in a range. */
const averaged = (line: number): Method => {
	const unused = (): never => {
		throw new Error("bounds are not looked at");
	};
	return exact((side, t, c) => {
		const mixture = { logE: (of: Side, x: number) => logEvidence(of, sums(t), sums(c), differenceLine(x), PRIOR_RATE) };
		const bets = (of: Side, x: number): number =>
			Number(logBettingEvidence(of, t.logCapital(), c.logCapital(), differenceLine(x)));
		return averagedTest({ ...mixture, bounds: unused }, { logE: bets, bounds: unused }).logE(side, line);
	});
};

const betting = (line: Contrast): Method =>
	exact((side, t, c) => {
		const found = logBettingEvidence(side, t.logCapital(), c.logCapital(), line);
		if (typeof found !== "number") throw new Error(found.reason);
		return found;
	});

function asymptotic(
	alpha: number,
	line: number,
	estimate: (t: ArmSample, c: ArmSample) => Estimate | NoEstimate,
	ratio = false,
): Method {
	return {
		exact: false,
		claims: (challenger, baseline) => {
			if (challenger.n < 2 || baseline.n < 2) return NO_CLAIM;
			const found = estimate(challenger, baseline);
			const [t, c] = [challenger.evidence(), baseline.evidence()];
			if (isNoEstimate(found) || tailsProblem(found, t, c, alpha) !== "") return NO_CLAIM;
			if (ratio && denominatorProblem(t, c, alpha) !== "") return NO_CLAIM;
			const [whole, half] = [asympBounds(found, { alpha }), asympBounds(found, { alpha: alpha / 2 })];
			if (isNoEstimate(whole) || isNoEstimate(half)) return NO_CLAIM;
			return { above: whole.lower > line, below: whole.upper < line, missed: half.lower > line || half.upper < line };
		},
	};
}

function over<Result>(vector: MeanVector | NoEstimate, then: (vector: MeanVector) => Result): Result | NoEstimate {
	return isNoEstimate(vector) ? vector : then(vector);
}

const meanOf = (arm: ArmSample): Level | NoEstimate => over(meanVectorOfMoments(arm.moments()), meanLevel);
const ratioOf = (arm: ArmSample): Level | NoEstimate => over(meanVectorOf(2, arm.coMoments()), ratioLevel);

function contrast(challenger: Level | NoEstimate, baseline: Level | NoEstimate): Estimate | NoEstimate {
	if (isNoEstimate(challenger)) return challenger;
	return isNoEstimate(baseline) ? baseline : difference(challenger, baseline);
}
