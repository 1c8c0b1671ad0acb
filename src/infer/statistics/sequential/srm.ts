/**
 * Sequential sample-ratio test: are units exposed in the ratio of the live points? Valid at every look, and while
 * the expected shares move with ramps, roundings and closed arms.
 *
 * H0: each unit exposed under a plan is in arm i with probability θ_i = livePoints_i ÷ Σ livePoints of *that* plan.
 * The denominator is therefore ∏ θ_i^(count) with each batch's own θ. The alternative is one unknown vector p of
 * propensities for all batches, a unit of a batch being in arm i with probability p_i ÷ Σ_{j live} p_j, mixed over
 * p ~ Dirichlet(k·θ of the first batch). For batches with the same live arms that is the multinomial–Dirichlet
 * Bayes factor (Lindon & Malek, arXiv 2011.03567; the accumulator of optimizely/ssrm). When an arm's live points go
 * to zero, the other arms' propensities keep what was learned: by the neutrality of the Dirichlet, p restricted to
 * the live arms and renormalised is Dirichlet(posterior α of those arms), so the batch's factor is
 * B(α_S + x)/B(α_S) with α_S carried forward.
 *
 * Validity: it is the marginal likelihood of *one* mixture fixed beforehand, divided by the likelihood of H0, so a
 * martingale under H0 in whatever order the exposures of different plans interleave (an Envoy that lags behind
 * still sends exposures of an old plan; a prior "learned from earlier batches" alone would not survive that). It
 * needs the live sets to be nested, which closing arms gives. Batches of the same live arms whose shares moved by
 * more than ROUNDING (weights are frozen while an experiment runs, so this is not expected), and sets that are not
 * nested, start a mixture of their own with prior k·θ: a product of independent mixtures, valid too.
 *
 * Weights that move for good (a bandit) would so start anew again and again and learn nothing. So what comes after the
 * first shares counts half by those mixtures and half by one that any shares can share: arm a gets e^δ times its due,
 * p_a ∝ θ_a·e^δ, with δ of either sign from a fixed list and every arm alike. Its likelihood ratio for a batch is
 * e^(δ·x_a)/(1 + θ_a(e^δ − 1))^n with the batch's own θ, so evidence adds up over all plans. With D_all the mixtures
 * above, D_1 that of the first shares alone and M that of all others, BF = ½·D_all + ½·D_1·M, a martingale because an
 * exposure moves one factor only; with one set of shares it is D_1.
 *
 * The p-value is min(1, 1/BF) of the current Bayes factor, not of its running maximum: only aggregates are
 * stored. Ville's inequality bounds P(BF ever ≥ 1/p), so stopping when it first falls below the line is covered,
 * and the pause that follows is itself stored.
 */

import { lnMultivariateBeta } from "../distributions/lnGamma.js";
import { logSumExp } from "../distributions/logSumExp.js";
import type { ExposureBatch } from "../evidence.js";

/**
 * Prior concentration k: the standard deviation of a share under the alternative is about ½/√k = 1.6 percentage
 * points at k = 1,000, the size of losing a few percent of one arm's exposures. Savvi's 100 looks for 5 points,
 * ssrm's 10,000 for half a point; any k is valid.
 */
export const SRM_PRIOR_CONCENTRATION = 1_000;

/** Sizes |δ| of the mixture for moving shares, from 0.5 % to a half of an arm's due. */
const DISTORTIONS: readonly number[] = Array.from({ length: 8 }, (_, index) => 0.005 * 2 ** index);

/** Expected shares within this of each other, relatively, are one share up to rounding of live points. */
const ROUNDING = 0.02;

export interface SampleRatio {
	/** ln of the Bayes factor against the expected shares. */
	readonly logBayesFactor: number;
	/** min(1, 1/BF). */
	readonly p: number;
	/** Exposed units it rests on. */
	readonly units: number;
}

/** Counts of exposures by plan version and arm, e.g. those that a person accepted when resuming. */
export type ExposureCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What came after `accepted`: SRM starts anew there, an e-process from a stopping time on. */
export function exposuresSince(batches: readonly ExposureBatch[], accepted: ExposureCounts): ExposureBatch[] {
	return batches.map((batch) => {
		const seen = accepted[batch.planVersion];
		if (seen === undefined) return batch;
		const counts: Record<string, number> = {};
		for (const [arm, count] of Object.entries(batch.counts)) counts[arm] = Math.max(0, count - (seen[arm] ?? 0));
		return { ...batch, counts };
	});
}

/** The present counts, in the form that `exposuresSince` takes. */
export function exposureCounts(batches: readonly ExposureBatch[]): ExposureCounts {
	const result: Record<string, Readonly<Record<string, number>>> = {};
	for (const batch of batches) result[batch.planVersion] = batch.counts;
	return result;
}

/** Batches of one live set and (up to rounding) one ratio, pooled. */
interface Regime {
	readonly arms: readonly string[];
	readonly theta: readonly number[];
	counts: number[];
	/** Σ x ln θ, each batch with its own θ. */
	logNull: number;
}

/**
 * The test over all batches; null while no batch has two live arms and a unit. Arms without live points are not in
 * it: they take no degree of freedom and their share is not expected (units counted there are ignored). null, too,
 * where a count or a share is no number: no p-value rests on it.
 */
export function sampleRatio(
	batches: readonly ExposureBatch[],
	concentration: number = SRM_PRIOR_CONCENTRATION,
): SampleRatio | null {
	if (batches.some(({ counts, livePoints }) => !areCounts(counts) || !areCounts(livePoints))) return null;
	const regimes = pool(batches);
	if (regimes.length === 0) return null;
	let logBayesFactor = 0;
	let units = 0;
	// Largest live set first: α is carried down the chain of nested sets.
	let parent: ReadonlyMap<string, number> = new Map();
	for (const regime of [...regimes].sort((x, y) => y.arms.length - x.arms.length)) {
		const learned = parent;
		const nested = learned.size > regime.arms.length && regime.arms.every((arm) => learned.has(arm));
		const prior = regime.arms.map((arm, index) =>
			nested ? (learned.get(arm) ?? 0) : concentration * (regime.theta[index] ?? 0),
		);
		const posterior = prior.map((value, index) => value + (regime.counts[index] ?? 0));
		logBayesFactor += lnMultivariateBeta(posterior) - lnMultivariateBeta(prior) - regime.logNull;
		units += regime.counts.reduce((sum, count) => sum + count, 0);
		parent = new Map(regime.arms.map((arm, index) => [arm, posterior[index] ?? 0]));
	}
	const first = firstShares(batches);
	const isFirst = (batch: ExposureBatch): boolean => {
		const { arms, theta } = sharesOf(batch);
		return first !== null && sameShares(first, arms, theta);
	};
	const later = batches.filter((batch) => !isFirst(batch));
	if (pool(later).length > 0) {
		const alone = pool(batches.filter(isFirst)).reduce((sum, regime) => sum + logDirichlet(regime, concentration), 0);
		logBayesFactor = logSumExp([logBayesFactor, alone + logMoving(later)]) - Math.LN2;
	}
	return { logBayesFactor, p: Math.min(1, Math.exp(-logBayesFactor)), units };
}

/** ln of a regime's own multinomial–Dirichlet Bayes factor. */
function logDirichlet({ theta, counts, logNull }: Regime, concentration: number): number {
	const prior = theta.map((share) => concentration * share);
	const posterior = prior.map((value, index) => value + (counts[index] ?? 0));
	return lnMultivariateBeta(posterior) - lnMultivariateBeta(prior) - logNull;
}

/** The shares that the run began with: arms only close, so those of the most arms, and of these the earliest. */
function firstShares(batches: readonly ExposureBatch[]): Pick<Regime, "arms" | "theta"> | null {
	const shares = batches.map(sharesOf);
	const most = Math.max(2, ...shares.map(({ arms }) => arms.length));
	return shares.find(({ arms }) => arms.length === most) ?? null;
}

/** ln of the mixture over one arm's distortion, the same factor at all plans. */
function logMoving(batches: readonly ExposureBatch[]): number {
	const plans = batches.map((batch) => {
		const { arms, theta } = sharesOf(batch);
		const counts = arms.map((arm) => batch.counts[arm] ?? 0);
		return { arms, theta, counts, units: counts.reduce((sum, count) => sum + count, 0) };
	});
	const names = [...new Set(plans.flatMap(({ arms }) => arms))];
	const terms: number[] = [];
	for (const name of names)
		for (const size of DISTORTIONS)
			for (const delta of [size, -size]) {
				let log = 0;
				for (const { arms, theta, counts, units } of plans) {
					const index = arms.indexOf(name);
					if (index < 0 || arms.length < 2) continue;
					log += delta * (counts[index] ?? 0) - units * Math.log1p((theta[index] ?? 0) * Math.expm1(delta));
				}
				terms.push(log);
			}
	return logSumExp(terms) - Math.log(terms.length);
}

function areCounts(counts: Readonly<Record<string, number>>): boolean {
	return Object.values(counts).every((count) => count >= 0 && count < Number.POSITIVE_INFINITY);
}

function pool(batches: readonly ExposureBatch[]): Regime[] {
	const regimes: Regime[] = [];
	for (const batch of batches) {
		const { arms, theta } = sharesOf(batch);
		const counts = arms.map((arm) => batch.counts[arm] ?? 0);
		if (arms.length < 2 || counts.every((count) => count === 0)) continue;
		let logNull = 0;
		for (const [index, count] of counts.entries()) logNull += count * Math.log(theta[index] ?? 1);
		const same = regimes.find((regime) => sameShares(regime, arms, theta));
		if (same === undefined) regimes.push({ arms, theta, counts, logNull });
		else {
			same.counts = same.counts.map((count, index) => count + (counts[index] ?? 0));
			same.logNull += logNull;
		}
	}
	return regimes;
}

/** The live arms of a batch's plan in order, and their expected shares. */
function sharesOf({ livePoints }: ExposureBatch): Pick<Regime, "arms" | "theta"> {
	const arms = Object.keys(livePoints)
		.filter((arm) => (livePoints[arm] ?? 0) > 0)
		.sort();
	const total = arms.reduce((sum, arm) => sum + (livePoints[arm] ?? 0), 0);
	return { arms, theta: arms.map((arm) => (livePoints[arm] ?? 0) / total) };
}

function sameShares(
	regime: Pick<Regime, "arms" | "theta">,
	arms: readonly string[],
	theta: readonly number[],
): boolean {
	if (regime.arms.length !== arms.length) return false;
	return arms.every(
		(arm, index) =>
			regime.arms[index] === arm &&
			Math.abs((theta[index] ?? 0) - (regime.theta[index] ?? 0)) <= ROUNDING * (regime.theta[index] ?? 0),
	);
}
