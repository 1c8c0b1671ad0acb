/**
 * Calibrated methods on other data than two arms' values: error counts, ranks of values, and units by allocation. The truth
 * lies exactly on the line.
 */
import { type BanditArm, banditShares } from "../../src/infer/statistics/bandit/allocation.js";
import { betaPosterior, PRIOR_UNIFORM } from "../../src/infer/statistics/bayes/posterior.js";
import { logRateEvidence } from "../../src/infer/statistics/sequential/errorCounts.js";
import {
	quantileBounds,
	quantilePValue,
	type RankCounts,
} from "../../src/infer/statistics/sequential/quantileSequence.js";
import { logPropensityEvidence, type PropensityBatch } from "../infer/statistics/bandit/propensityBetting.js";
import type { Wrong } from "./experiment.js";
import { frozenQuantile } from "./grid.js";
import type { Claims } from "./methods.js";
import { type Uniform, uniforms } from "./random.js";
import { ALPHA, type Scenario } from "./scenarios.js";

const [WHOLE, HALF] = [-Math.log(ALPHA), -Math.log(ALPHA / 2)];

/** Makes the data up to a look, and returns the claims about them. */
type Look = (look: number, units: number, uniform: Uniform) => Claims;

/** The wrong claims of an experiment. @param schedule units of both arms at each look */
export function wrongClaims(scenario: Scenario, experiment: number, schedule: readonly number[]): Wrong {
	const uniform = uniforms(scenario.seed, experiment);
	const next = lookOf(scenario, schedule.length);
	const wrong: Wrong = { above: 0, below: 0, missed: 0 };
	let before = 0;
	for (const [look, until] of schedule.entries()) {
		const { above, below, missed } = next(look, until - before, uniform);
		before = until;
		wrong.above ||= Number(above);
		wrong.below ||= Number(below);
		wrong.missed ||= Number(missed);
	}
	return wrong;
}

function lookOf(scenario: Scenario, looks: number): Look {
	const { law, line } = scenario;
	switch (law.of) {
		case "errors":
			return errors(line, law.shares, looks);
		case "ranks":
			return scenario.method === "quantile-bounds" ? oneQuantile(law) : twoQuantiles(law);
		case "frozen-quantile":
			return frozenQuantile(law, looks);
		case "bandit":
			return bandit(law, line, looks);
		default:
			throw new Error(`${law.of} is a law of values`);
	}
}

function byEvidence(above: number, below: number): Claims {
	return { above: above >= WHOLE, below: below >= WHOLE, missed: Math.max(above, below) >= HALF };
}

function resultOf<Result>(result: Result | { readonly reason: string }): Result {
	if (typeof result === "object" && result !== null && "reason" in result) throw new Error(String(result.reason));
	return result as Result;
}

/** The rate ratio is 1 + line; the challenger's share of the load moves over the looks. */
function errors(line: number, shares: readonly number[], looks: number): Look {
	const ratio = 1 + line;
	const batches = shares.map((share) => ({ share, challenger: 0, baseline: 0 }));
	return (look, count, uniform) => {
		const batch = batches[Math.floor((look * shares.length) / looks)];
		if (batch === undefined) throw new Error("no batch");
		const chance = (batch.share * ratio) / (batch.share * ratio + 1 - batch.share);
		for (let error = 0; error < count; error++) batch[uniform() < chance ? "challenger" : "baseline"]++;
		return byEvidence(
			resultOf(logRateEvidence("above", batches, ratio)),
			resultOf(logRateEvidence("below", batches, ratio)),
		);
	};
}

/** Thresholds of the counts: the q-quantile itself, where a false claim is likeliest, and some on either side. */
function thresholdsOf(q: number): readonly number[] {
	const around = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99].flatMap((f) => [q * f, 1 - (1 - q) * f]);
	return [...new Set([...around, q])].sort((a, b) => a - b);
}

interface Ranks {
	readonly q: number;
	/** Values are rounded up to its multiples, one of which is q; 0: no ties. */
	readonly grain: number;
	readonly tunedAt: number;
}

/** Values uniform on (0, 1), or their grains: ranks do not depend on the distribution. */
class Counted {
	n = 0;
	readonly #counts: number[];

	constructor(
		private readonly thresholds: readonly number[],
		private readonly grain: number,
	) {
		this.#counts = thresholds.map(() => 0);
	}

	draw(uniform: Uniform): void {
		const value = this.grain === 0 ? uniform() : Math.ceil(uniform() / this.grain) * this.grain;
		this.n++;
		for (const [index, threshold] of this.thresholds.entries())
			if (value <= threshold) this.#counts[index] = (this.#counts[index] ?? 0) + 1;
	}

	ranks(): RankCounts {
		const points = this.thresholds.map((value, index) => ({ value, atMost: this.#counts[index] ?? 0 }));
		return { n: this.n, points, rankError: 0 };
	}
}

function oneQuantile({ q, grain, tunedAt }: Ranks): Look {
	const counted = new Counted(thresholdsOf(q), grain);
	return (_look, count, uniform) => {
		for (let unit = 0; unit < count; unit++) counted.draw(uniform);
		const at = (alpha: number) => resultOf(quantileBounds(counted.ranks(), q, { alpha, tunedAt }));
		const [whole, half] = [at(ALPHA), at(ALPHA / 2)];
		// Exactly q of the distribution lies at or below the quantile, so both claims are wrong.
		const over = (bound: number | null): boolean => bound !== null && bound >= q;
		const under = (bound: number | null): boolean => bound !== null && bound <= q;
		return { above: over(whole.lower), below: under(whole.upper), missed: over(half.lower) || under(half.upper) };
	};
}

function twoQuantiles({ q, grain, tunedAt }: Ranks): Look {
	const [challenger, baseline] = [new Counted(thresholdsOf(q), grain), new Counted(thresholdsOf(q), grain)];
	return (_look, count, uniform) => {
		for (let unit = 0; unit < count; unit++) (uniform() < 0.5 ? challenger : baseline).draw(uniform);
		const [t, c] = [challenger.ranks(), baseline.ranks()];
		const claimed = (claim: "above" | "below" | "different"): boolean =>
			resultOf(quantilePValue(claim, t, c, q, { alpha: ALPHA, tunedAt })).p <= ALPHA;
		return { above: claimed("above"), below: claimed("below"), missed: claimed("different") };
	};
}

/** Thompson sampling moves the shares after every look, while both means rise and fall together. */
function bandit(law: { readonly p: number; readonly drift: number }, line: number, looks: number): Look {
	const totals = { challenger: { n: 0, sum: 0 }, baseline: { n: 0, sum: 0 } };
	const batches: PropensityBatch[] = [];
	let share = 1e6;
	return (look, count, uniform) => {
		const batch = { challenger: { n: 0, sum: 0 }, baseline: { n: 0, sum: 0 } };
		const propensity = share / (share + 1e6);
		const level = law.p + law.drift * Math.sin((6 * Math.PI * look) / looks);
		for (let unit = 0; unit < count; unit++) {
			const arm = uniform() < propensity ? "challenger" : "baseline";
			const value = uniform() < level + (arm === "challenger" ? line : 0) ? 1 : 0;
			for (const counts of [totals[arm], batch[arm]]) {
				counts.n++;
				counts.sum += value;
			}
		}
		batches.push({ propensity, ...batch });
		const arms: BanditArm[] = [
			{ weight: 1, baseline: true, closed: false, units: totals.baseline.n, sharePpm: 1e6 },
			{ weight: 1, baseline: false, closed: false, units: totals.challenger.n, sharePpm: share },
		];
		const posteriors = [totals.baseline, totals.challenger].map((counts) => betaPosterior(counts, PRIOR_UNIFORM));
		const settings = { algorithm: "thompson", direction: "up", floorPpm: 1e5, minUnits: 100 } as const;
		share = banditShares(arms, { family: "beta", arms: posteriors }, settings).sharesPpm[1] ?? share;
		return byEvidence(logPropensityEvidence("above", batches, line), logPropensityEvidence("below", batches, line));
	};
}
