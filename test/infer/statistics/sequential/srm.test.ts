import t from "tap";
import { lnMultivariateBeta } from "../../../../src/infer/statistics/distributions/lnGamma.js";
import { normalSf } from "../../../../src/infer/statistics/distributions/normal.js";
import type { ExposureBatch } from "../../../../src/infer/statistics/evidence.js";
import { exposureCounts, exposuresSince, sampleRatio } from "../../../../src/infer/statistics/sequential/srm.js";
import { random } from "../random.js";

function batch(planVersion: string, counts: Record<string, number>, livePoints: Record<string, number>): ExposureBatch {
	return { planVersion, firstMs: 0, counts, livePoints };
}

const close = (actual: number | undefined, truth: number, tolerance: number): boolean =>
	actual !== undefined && Math.abs(actual - truth) <= tolerance;

t.test("the sample-ratio test has the golden log Bayes factors for constant shares", async (t) => {
	for (const [counts, points, k100, k10000] of [
		[[500, 560], [1, 1], 0.32597, 0.11239],
		[[5000, 5600], [1, 1], 14.49394, 8.37816],
		[[1000, 1000], [1, 1], -1.52464, -0.09116],
		[[50000, 51000], [1, 1], 1.48388, 3.30111],
		[[900, 100], [9, 1], -1.2066, -0.04766],
	] as const) {
		const one = [batch("p", { a: counts[0], b: counts[1] }, { a: points[0], b: points[1] })];
		t.ok(close(sampleRatio(one, 100)?.logBayesFactor, k100, 6e-6), `${counts} k 100`);
		t.ok(close(sampleRatio(one, 10_000)?.logBayesFactor, k10000, 6e-6), `${counts} k 10,000`);
	}
});

t.test("the sample-ratio test agrees with the published ssrm vectors", async (t) => {
	const theta = [0.4, 0.4, 0.2];
	const logM1 = (x: readonly number[]): number =>
		lnMultivariateBeta(x.map((v) => v + 1)) - lnMultivariateBeta([1, 1, 1]);
	const logM0 = (x: readonly number[]): number => x.reduce((sum, v, i) => sum + v * Math.log(theta[i] ?? 1), 0);
	const stream = [
		[
			[1, 0, 0],
			[0, 1, 0],
			[1, 0, 0],
			[0, 1, 0],
			[0, 0, 1],
		],
		[-1.0986122886681096, -2.4849066497880004, -3.401197381662155, -4.499809670330265, -6.4457198193855785],
		[-0.916290731874155, -1.83258146374831, -2.748872195622465, -3.66516292749662, -5.27460083993072],
	] as const;
	let total = [0, 0, 0];
	for (const [index, x] of stream[0].entries()) {
		total = total.map((v, i) => v + (x[i] ?? 0));
		t.ok(close(logM1(total), stream[1][index] ?? 0, 1e-12));
		t.ok(close(logM0(total), stream[2][index] ?? 0, 1e-12));
	}
	let batches = [0, 0, 0];
	for (const [x, m1, m0] of [
		[[20, 17, 9], -7.028201432058012, -4.0776406466061985],
		[[18, 21, 8], -11.947847738358888, -8.265946861099877],
		[[4, 6, 4], -15.471401950257842, -11.610743519545139],
		[[18, 19, 11], -19.96484521090386, -15.781031228536165],
	] as const) {
		// ssrm gives batches the likelihood of their counts, coefficient included; it cancels in the Bayes factor.
		batches = batches.map((v, i) => v + (x[i] ?? 0));
		t.ok(close(logM1(batches) - logM0(batches), m1 - m0, 1e-10), `${batches}`);
	}
	// Equal shares make k·θ = (1,1,1) with k = 3, so the whole statistic can be compared, split over plans or not.
	const equal = { a: 1, b: 1, c: 1 };
	const split = [batch("p1", { a: 20, b: 17, c: 9 }, equal), batch("p2", { a: 18, b: 21, c: 8 }, equal)];
	const truth = logM1([38, 38, 17]) - 93 * Math.log(1 / 3);
	t.ok(close(sampleRatio(split, 3)?.logBayesFactor, truth, 1e-11));
});

t.test("evidence of a sample-ratio mismatch is carried over a ramp with equal shares", async (t) => {
	const exact = sampleRatio([batch("p", { a: 500, b: 620 }, { a: 500_000, b: 500_000 })]);
	const rounded = sampleRatio([
		batch("p1", { a: 200, b: 250 }, { a: 9_999, b: 10_000 }),
		batch("p2", { a: 300, b: 370 }, { a: 50_000, b: 50_000 }),
	]);
	t.ok(close(rounded?.logBayesFactor, exact?.logBayesFactor ?? Number.NaN, 0.02), "evidence is carried over a ramp");
});

t.test("the sample-ratio test excludes arms without live points, and needs two arms", async (t) => {
	const two = sampleRatio([batch("p", { a: 500, b: 560 }, { a: 1, b: 1 })]);
	const three = sampleRatio([batch("p", { a: 500, b: 560, c: 0 }, { a: 1, b: 1, c: 0 })]);
	t.equal(three?.logBayesFactor, two?.logBayesFactor);
	t.equal(sampleRatio([batch("p", { a: 500 }, { a: 1, b: 0 })]), null);
	t.equal(sampleRatio([]), null);
	t.equal(sampleRatio([batch("p", {}, { a: 1, b: 1 })]), null);
});

t.test("a zero-weight arm adds no degree of freedom, unlike in GrowthBook", async (t) => {
	// Users 500, 560, 0 under weights .5, .5, 0: χ² = 3.396. GrowthBook's check_srm takes df = 2, p = .18303.
	const chi2 = (500 - 530) ** 2 / 530 + (560 - 530) ** 2 / 530;
	const theirs = Math.exp(-chi2 / 2);
	t.ok(close(theirs, 0.18303, 5e-6), "the survival function of χ² with two degrees of freedom");
	const truth = 2 * normalSf(Math.sqrt(chi2));
	t.ok(close(truth, 0.06534575, 5e-9), "with one");
	// Our sequential test gives the same with the arm and without it, and a clearer result with ten times the users.
	const p = (scale: number, points: Record<string, number>): number =>
		sampleRatio([batch("p", { a: 500 * scale, b: 560 * scale, c: 0 }, points)], 100)?.p ?? Number.NaN;
	t.equal(p(1, { a: 1, b: 1, c: 0 }), p(1, { a: 1, b: 1 }));
	t.ok(close(p(1, { a: 1, b: 1, c: 0 }), Math.exp(-0.32597), 1e-5));
	t.ok(p(10, { a: 1, b: 1, c: 0 }) < 1e-6);
});

/** By mpmath at 60 digits: ln B(α + x) − ln B(α) − Σ x ln θ at k = 1,000. */
const SRM_LARGE: readonly (readonly [number, number, Record<string, number>, number])[] = [
	[500_000_000, 500_000_000, { a: 1, b: 1 }, -6.90800577869022],
	[500_010_000, 499_990_000, { a: 1, b: 1 }, -6.70800597847669],
	[500_100_000, 499_900_000, { a: 1, b: 1 }, 13.0919743746627],
	[900_000_000, 100_000_000, { a: 9, b: 1 }, -6.90859836795316],
	[900_050_000, 99_950_000, { a: 9, b: 1 }, 6.98255704810943],
	[999_000_000, 1_000_000, { a: 999, b: 1 }, -6.98881724586062],
];

t.test("the test takes a billion exposures, and refuses invalid counts", async (t) => {
	for (const [a, b, points, truth] of SRM_LARGE) {
		const result = sampleRatio([batch("p", { a, b }, points)]);
		t.ok(
			close(result?.logBayesFactor, truth, 2e-6 * Math.max(1, Math.abs(truth))),
			`${a} ${b}: ${result?.logBayesFactor}`,
		);
	}
	for (const count of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
		t.equal(sampleRatio([batch("p", { a: count, b: 500 }, { a: 1, b: 1 })]), null, `${count}`);
		t.equal(sampleRatio([batch("p", { a: 400, b: 500 }, { a: count, b: 1 })]), null);
	}
});

t.test("sample-ratio evidence survives closing an arm, for any order of exposures", async (t) => {
	const before = batch("p1", { a: 1000, b: 1130, c: 1000 }, { a: 1, b: 1, c: 1 });
	const after = batch("p2", { a: 1000, b: 1130 }, { a: 1, b: 1, c: 0 });
	const both = sampleRatio([before, after])?.logBayesFactor ?? 0;
	const apart = (sampleRatio([before])?.logBayesFactor ?? 0) + (sampleRatio([after])?.logBayesFactor ?? 0);
	t.ok(both > apart, `${both} above ${apart}`);
	t.ok(close(sampleRatio([after, before])?.logBayesFactor, both, 1e-9));
});

t.test("changing shares are tested against their own plan", async (t) => {
	const moved = [batch("p1", { a: 900, b: 100 }, { a: 9, b: 1 }), batch("p2", { a: 500, b: 500 }, { a: 1, b: 1 })];
	t.equal(sampleRatio(moved)?.p, 1);
	const wrong = [batch("p1", { a: 900, b: 100 }, { a: 9, b: 1 }), batch("p2", { a: 700, b: 300 }, { a: 1, b: 1 })];
	t.ok((sampleRatio(wrong)?.p ?? 1) < 1e-10);
});

t.test("exposures accepted by an operator no longer count in the sample-ratio test", async (t) => {
	const broken = [batch("p1", { a: 1000, b: 1400 }, { a: 1, b: 1 })];
	t.ok((sampleRatio(broken)?.p ?? 1) < 0.001);
	const later = [batch("p1", { a: 1500, b: 1900 }, { a: 1, b: 1 }), batch("p2", { a: 80, b: 90 }, { a: 1, b: 1 })];
	const since = exposuresSince(later, exposureCounts(broken));
	t.same(
		since.map(({ counts }) => counts),
		[
			{ a: 500, b: 500 },
			{ a: 80, b: 90 },
		],
	);
	t.equal(sampleRatio(since)?.p, 1);
});

t.test("the sample-ratio test errs in at most 5 % of runs with ramps, closed arms and late Envoys", async (t) => {
	const plans: readonly Record<string, number>[] = [
		{ a: 6_666, b: 6_667, c: 6_667 },
		{ a: 33_333, b: 33_333, c: 33_334 },
		{ a: 166_666, b: 166_667, c: 0 },
		{ a: 333_333, b: 333_334, c: 0 },
	];
	let alarms = 0;
	const runs = 400;
	for (let run = 0; run < runs; run++) {
		const next = random(50_000 + run);
		const batches = plans.map((points, index) => batch(`p${index}`, { a: 0, b: 0, c: 0 }, points));
		let alarmed = false;
		for (let look = 0; look < 40 && !alarmed; look++) {
			for (let unit = 0; unit < 30; unit++) {
				const current = Math.floor(look / 10);
				const plan = batches[Math.max(0, next() < 0.2 ? current - 1 : current)];
				if (plan === undefined) continue;
				const counts = plan.counts as Record<string, number>;
				const total = Object.values(plan.livePoints).reduce((sum, points) => sum + points, 0);
				let x = next() * total;
				for (const [arm, points] of Object.entries(plan.livePoints)) {
					x -= points;
					if (x < 0) {
						counts[arm] = (counts[arm] ?? 0) + 1;
						break;
					}
				}
			}
			alarmed = (sampleRatio(batches, 100)?.p ?? 1) < 0.05;
		}
		alarms += alarmed ? 1 : 0;
	}
	t.comment(`alarms of ${runs} at 5 %: ${alarms}`);
	t.ok(alarms <= 31, `${alarms}`);
});

t.test("the sample-ratio test detects a loss of 5 % of exposures within 60,000 units", async (t) => {
	const found = sampleRatio([batch("p", { a: 30_000, b: 28_500 }, { a: 1, b: 1 })]);
	t.ok((found?.p ?? 1) < 0.001);
});

t.test("with changing weights the sample-ratio test keeps alpha and detects a loss of 5 %", async (t) => {
	const next = random(31);
	const run = (kept: number, plans: number, perPlan: number): number => {
		const batches: ExposureBatch[] = [];
		for (let plan = 0; plan < plans; plan++) {
			const points = { a: 20 + Math.floor(60 * next()), b: 20 + Math.floor(60 * next()), c: 20 };
			const counts = { a: 0, b: 0, c: 0 };
			for (let unit = 0; unit < perPlan; unit++) {
				const x = next() * (points.a + points.b + points.c);
				const arm = x < points.a ? "a" : x < points.a + points.b ? "b" : "c";
				if (arm !== "a" || next() < kept) counts[arm] += 1;
			}
			batches.push(batch(`p${plan}`, counts, points));
			if ((sampleRatio(batches)?.p ?? 1) <= 0.05) return plan;
		}
		return plans;
	};
	let alarms = 0;
	for (let repeat = 0; repeat < 150; repeat++) if (run(1, 25, 100) < 25) alarms += 1;
	t.comment(`alarms of 150 at 5 %: ${alarms}`);
	// 16 of 150 lies 3 standard deviations above 5 %.
	t.ok(alarms <= 16, `${alarms}`);
	const found = run(0.95, 60, 1_000);
	t.comment(`5 % of arm a lost: found after ${found + 1} plans of 1,000`);
	t.ok(found < 40, `${found}`);
});
