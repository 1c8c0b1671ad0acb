/** Simulations show which intervals of the estimators cover, and which variants cover too seldom. */

import t from "tap";
import { tIsf } from "../../../../src/infer/statistics/distributions/studentT.js";
import {
	difference,
	fiellerSet,
	LIFT_BASELINE_Z_MIN,
	liftContrast,
	relativeLift,
} from "../../../../src/infer/statistics/estimators/contrast.js";
import { cupedLevel, cupedRatioLevel } from "../../../../src/infer/statistics/estimators/cuped.js";
import {
	type Estimate,
	isNoEstimate,
	type Level,
	type NoEstimate,
} from "../../../../src/infer/statistics/estimators/estimate.js";
import { meanLevel, ratioLevel } from "../../../../src/infer/statistics/estimators/level.js";
import { meanVectorOf, meanVectorOfMoments } from "../../../../src/infer/statistics/estimators/meanVector.js";
import { bracketOf, quantileLevel } from "../../../../src/infer/statistics/estimators/quantile.js";
import {
	sharesOf,
	stratifiedMeans,
	withEstimatedShares,
} from "../../../../src/infer/statistics/estimators/stratification.js";
import type { CoMoments } from "../../../../src/infer/statistics/statistics/coMoments.js";
import { coMomentsOf, meanAdjustment, momentsOf, ratioAdjustment } from "../formulas.js";
import { random } from "../random.js";

function sure<T extends object>(result: T | NoEstimate): T {
	if (isNoEstimate(result)) throw new Error(result.reason);
	return result;
}

const Z = 1.959963984540054;

function generator(seed: number): { readonly uniform: () => number; readonly gauss: () => number } {
	const uniform = random(seed);
	return {
		uniform,
		gauss: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
	};
}

/** Share of runs whose 95 % interval covers the truth. */
function coverage(runs: number, covers: (run: number) => boolean): number {
	let covered = 0;
	for (let run = 0; run < runs; run++) if (covers(run)) covered += 1;
	return covered / runs;
}

const holds = (estimate: Pick<Estimate, "value" | "variance">, truth: number): boolean =>
	Math.abs(estimate.value - truth) <= Z * Math.sqrt(estimate.variance);

/** Four standard errors of a simulated share around 95 %. */
const nominal = (share: number, runs: number): boolean => Math.abs(share - 0.95) < 4 * Math.sqrt((0.95 * 0.05) / runs);

const rows = <T>(n: number, draw: () => T): T[] => Array.from({ length: n }, draw);

t.test("lift intervals cover: the delta method from 5 standard errors on, Fieller anywhere", async (t) => {
	const { gauss } = generator(1);
	const level = (value: number, sd: number): Level =>
		sure(meanLevel(sure(meanVectorOfMoments({ n: 1e6, mean: value, m2: sd * sd * 1e6 * (1e6 - 1) }))));
	const runs = 20_000;
	for (const { base, lift, quiet } of [
		{ base: 5, lift: 2, quiet: 0.3 },
		{ base: 5, lift: 0.1, quiet: 1 },
		{ base: 8, lift: 2, quiet: 0.3 },
		{ base: 1, lift: 0.1, quiet: 1 },
	]) {
		let [tried, covered] = [0, 0];
		let [byFieller, byContrast] = [0, 0];
		for (let run = 0; run < runs; run++) {
			const baseline = level(base + gauss(), 1);
			const challenger = level(base * (1 + lift) + quiet * gauss(), quiet);
			const estimate = relativeLift(challenger, baseline);
			if (!isNoEstimate(estimate)) {
				tried += 1;
				if (holds(estimate, lift)) covered += 1;
			}
			const set = sure(fiellerSet(challenger, baseline, Z));
			// A baseline below 0 turns the sign of the lift: the set then covers the lift in shares of its size.
			if (baseline.value < 0) byFieller += holds(sure(liftContrast(challenger, baseline, -lift)), 0) ? 1 : 0;
			else if (
				set.kind === "everything" ||
				(set.kind === "interval" ? lift >= set.lower && lift <= set.upper : lift <= set.below || lift >= set.above)
			)
				byFieller += 1;
			if (holds(sure(liftContrast(challenger, baseline, baseline.value < 0 ? -lift : lift)), 0)) byContrast += 1;
		}
		const wrong = (tried - covered) / runs;
		t.comment(
			`baseline ${base} standard errors from 0, lift ${lift}: an interval in ${tried} of ${runs}, wrong in ${wrong}`,
		);
		if (base < LIFT_BASELINE_Z_MIN) t.ok(tried < runs / 100, "near 0 there is a reason instead");
		else t.ok(wrong < (base > LIFT_BASELINE_Z_MIN ? 0.06 : 0.07), `${wrong}`);
		t.ok(nominal(byContrast / runs, runs), `contrast at ${base}: ${byContrast / runs}`);
		t.ok(nominal(byFieller / runs, runs), `Fieller at ${base}: ${byFieller / runs}`);
	}
});

t.test("CUPED intervals cover, but not without the baseline's noise", async (t) => {
	const { gauss } = generator(2);
	const runs = 1500;
	let [lifts, old] = [0, 0];
	const differences = coverage(runs, () => {
		const arm = (effect: number): CoMoments =>
			coMomentsOf(
				2,
				rows(120, () => {
					const before = gauss();
					return [10 + effect + 0.95 * before + 0.31 * gauss(), 3 + before];
				}),
			);
		const [baseline, challenger] = [arm(0), arm(10)];
		const adjustment = sure(meanAdjustment([baseline, challenger]));
		const [c, v] = [baseline, challenger].map((sums) => sure(cupedLevel(sure(meanVectorOf(2, sums)), adjustment))) as [
			Level,
			Level,
		];
		const lift = sure(relativeLift(v, c));
		if (holds(lift, 1)) lifts += 1;
		const before3610 = v.variance / c.raw.value ** 2 + (c.variance * v.raw.value ** 2) / c.raw.value ** 4;
		if (holds({ value: lift.value, variance: before3610 }, 1)) old += 1;
		return holds(sure(difference(v, c)), 10);
	});
	t.comment(`difference ${differences}, lift ${lifts / runs}, lift by the adjusted variance alone ${old / runs}`);
	t.ok(nominal(differences, runs), `${differences}`);
	t.ok(nominal(lifts / runs, runs), `${lifts / runs}`);
	t.ok(old / runs < 0.85, `${old / runs}`);
});

t.test("intervals cover with clustered requests, and not with requests as units", async (t) => {
	const { gauss, uniform } = generator(3);
	const runs = 400;
	let [adjusted, naive] = [0, 0];
	const clustered = coverage(runs, () => {
		const arm = (effect: number): { sums: CoMoments; requests: number[] } => {
			const requests: number[] = [];
			const sums = coMomentsOf(
				4,
				rows(150, () => {
					const person = gauss();
					const [now, before] = [1 + Math.floor(uniform() * 6), 1 + Math.floor(uniform() * 6)];
					const values = rows(now, () => 20 + effect + person + gauss());
					requests.push(...values);
					return [
						values.reduce((sum, value) => sum + value, 0),
						now,
						rows(before, () => 20 + person + gauss()).reduce((sum, value) => sum + value, 0),
						before,
					];
				}),
			);
			return { sums, requests };
		};
		const [baseline, challenger] = [arm(0), arm(1)];
		const vectors = [baseline, challenger].map(({ sums }) => sure(meanVectorOf(4, sums)));
		const contrast = (levels: readonly Level[]): Estimate => sure(difference(levels[1] as Level, levels[0] as Level));
		const adjustment = sure(ratioAdjustment([baseline.sums, challenger.sums]));
		if (holds(contrast(vectors.map((vector) => sure(cupedRatioLevel(vector, adjustment)))), 1)) adjusted += 1;
		const loose = [baseline, challenger].map(({ requests }) =>
			sure(meanLevel(sure(meanVectorOfMoments(momentsOf(requests))))),
		);
		if (holds(contrast(loose), 1)) naive += 1;
		return holds(contrast(vectors.map((vector) => sure(ratioLevel(vector)))), 1);
	});
	t.comment(`clusters ${clustered}, with CUPED ${adjusted / runs}, requests as units ${naive / runs}`);
	t.ok(nominal(clustered, runs) && nominal(adjusted / runs, runs), `${clustered} ${adjusted / runs}`);
	t.ok(naive / runs < 0.87, `${naive / runs}`);
});

t.test(
	"quantile intervals of clustered requests cover if the variance is multiplied by the design effect",
	async (t) => {
		const { gauss, uniform } = generator(4);
		const [runs, quantile] = [500, 0.9];
		// A request is person + own noise, both N(0, ½): N(0, 1), whose 90 % point is known.
		const truth = 1.2815515655446004;
		let divided = 0;
		const multiplied = coverage(runs, () => {
			const units = rows(300, () => {
				const person = Math.SQRT1_2 * gauss();
				return rows(1 + Math.floor(uniform() * 7), () => person + Math.SQRT1_2 * gauss());
			});
			const sorted = units.flat().sort((a, b) => a - b);
			const n = sorted.length;
			const bracket = bracketOf(quantile, n);
			if (bracket === null) return false;
			const at = (share: number): number => sorted[Math.min(n - 1, Math.ceil(share * n) - 1)] ?? Number.NaN;
			const value = at(quantile);
			const clusters = coMomentsOf(
				2,
				units.map((requests) => [requests.filter((request) => request <= value).length, requests.length]),
			);
			const level = sure(
				quantileLevel({ quantile, value, lower: at(bracket.lower), upper: at(bracket.upper) }, clusters),
			);
			const iid = ((at(bracket.upper) - at(bracket.lower)) / (2 * Z)) ** 2;
			if (holds({ value, variance: iid ** 2 / level.variance }, truth)) divided += 1;
			return Math.abs(value - truth) <= tIsf(0.025, level.degreesOfFreedom) * Math.sqrt(level.variance);
		});
		t.comment(`multiplied ${multiplied}, divided ${divided / runs}`);
		t.ok(nominal(multiplied, runs), `${multiplied}`);
		t.ok(divided / runs < 0.8, `${divided / runs}`);
	},
);

t.test("post-stratified intervals include the variance of estimated shares", async (t) => {
	const { gauss, uniform } = generator(5);
	const runs = 1500;
	let without = 0;
	const width = { stratified: 0, plain: 0 };
	const covered = coverage(runs, () => {
		// Two strata of 30 % and 70 % with levels 0 and 10 and effects 6 and 0: 1.8 in the population.
		const values = { baseline: [[], []], challenger: [[], []] } as Record<"baseline" | "challenger", number[][]>;
		for (let unit = 0; unit < 200; unit++) {
			const stratum = uniform() < 0.3 ? 0 : 1;
			const arm = uniform() < 0.5 ? "baseline" : "challenger";
			values[arm][stratum]?.push((stratum === 0 ? 0 : 10) + (arm === "challenger" && stratum === 0 ? 6 : 0) + gauss());
		}
		const shares = sharesOf([0, 1].map((s) => (values.baseline[s]?.length ?? 0) + (values.challenger[s]?.length ?? 0)));
		const strata = [0, 1].map((s) => ({
			share: shares[s] ?? 0,
			baseline: sure(meanVectorOfMoments(momentsOf(values.baseline[s] ?? []))),
			challenger: sure(meanVectorOfMoments(momentsOf(values.challenger[s] ?? []))),
		}));
		const arm = (name: "baseline" | "challenger"): Level =>
			sure(
				meanLevel(sure(stratifiedMeans(strata.map((stratum) => ({ share: stratum.share, vector: stratum[name] }))))),
			);
		const fixed = sure(difference(arm("challenger"), arm("baseline")));
		const estimate = sure(withEstimatedShares(fixed, strata, 200));
		if (holds(fixed, 1.8)) without += 1;
		const whole = (name: "baseline" | "challenger"): Level =>
			sure(meanLevel(sure(meanVectorOfMoments(momentsOf(values[name].flat())))));
		width.stratified += Math.sqrt(estimate.variance) / runs;
		width.plain += Math.sqrt(sure(difference(whole("challenger"), whole("baseline"))).variance) / runs;
		return holds(estimate, 1.8);
	});
	t.comment(
		`covered ${covered}, without the shares' variance ${without / runs}; standard error ${width.stratified} instead of ${width.plain}`,
	);
	t.ok(nominal(covered, runs), `${covered}`);
	t.ok(without / runs < 0.9, `${without / runs}`);
	t.ok(width.stratified < 0.6 * width.plain);
});
