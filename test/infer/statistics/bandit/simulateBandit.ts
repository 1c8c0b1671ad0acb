/**
 * Simulates a bandit of two arms over many batches, whose shares follow the outcomes. It returns the data of each kind of
 * inference: the core, all exposed units, and all units by batch.
 */
import { type BanditArm, banditShares } from "../../../../src/infer/statistics/bandit/allocation.js";
import { betaPosterior, PRIOR_UNIFORM } from "../../../../src/infer/statistics/bayes/posterior.js";
import { logEvidence, PRIOR_RATE } from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { random } from "../random.js";
import { logPropensityEvidence, type PropensityBatch } from "./propensityBetting.js";

export interface World {
	/** Mean of an arm at a time 0…1. */
	readonly mean: (arm: "baseline" | "challenger", time: number) => number;
	readonly batches: number;
	readonly perBatch: number;
	readonly floor: number;
	/** The number of batches between looks; shares move after each batch. */
	readonly lookEvery: number;
}

interface Counts {
	n: number;
	sum: number;
}

/** Largest ln e over all looks, for "the challenger is better than the baseline". */
export interface Peaks {
	/** Bernoulli mixture over all exposed units, as if shares had not moved. */
	readonly pooled: number;
	/** Bernoulli mixture over the core's units. */
	readonly core: number;
	/** Propensities, over all exposed units. */
	readonly propensities: number;
}

const CONTRAST = { slope: 1, offset: 0 };

export function simulateBandit(seed: number, world: World): Peaks {
	const next = random(seed);
	const all = { baseline: { n: 0, sum: 0 }, challenger: { n: 0, sum: 0 } };
	const inCore = { baseline: { n: 0, sum: 0 }, challenger: { n: 0, sum: 0 } };
	const batches: PropensityBatch[] = [];
	let share = 1e6;
	const peaks = { pooled: 0, core: 0, propensities: 0 };
	for (let index = 0; index < world.batches; index++) {
		const batch = { baseline: { n: 0, sum: 0 }, challenger: { n: 0, sum: 0 } };
		for (let person = 0; person < world.perBatch; person++) {
			const arm = next() < 0.5 ? "baseline" : "challenger";
			const point = next();
			if (arm === "challenger" && point >= share / 1e6) continue;
			const value = next() < world.mean(arm, index / world.batches) ? 1 : 0;
			for (const counts of [all[arm], batch[arm], ...(point < world.floor ? [inCore[arm]] : [])]) add(counts, value);
		}
		batches.push({ propensity: share / (share + 1e6), ...batch });
		if ((index + 1) % world.lookEvery === 0) {
			const mixture = ({ challenger, baseline }: typeof all): number =>
				logEvidence("above", challenger, baseline, CONTRAST, PRIOR_RATE);
			peaks.pooled = Math.max(peaks.pooled, mixture(all));
			peaks.core = Math.max(peaks.core, mixture(inCore));
			peaks.propensities = Math.max(peaks.propensities, logPropensityEvidence("above", batches, 0));
		}
		const arms: BanditArm[] = [
			{ weight: 1, baseline: true, closed: false, units: all.baseline.n, sharePpm: 1e6 },
			{ weight: 1, baseline: false, closed: false, units: all.challenger.n, sharePpm: share },
		];
		share =
			banditShares(
				arms,
				{ family: "beta", arms: [all.baseline, all.challenger].map((counts) => betaPosterior(counts, PRIOR_UNIFORM)) },
				{ algorithm: "thompson", direction: "up", floorPpm: world.floor * 1e6, minUnits: 100 },
			).sharesPpm[1] ?? share;
	}
	return peaks;
}

function add(counts: Counts, value: number): void {
	counts.n += 1;
	counts.sum += value;
}
