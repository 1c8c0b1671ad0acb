import t from "tap";
import type { Moments } from "../../../../src/infer/statistics/evidence.js";
import {
	ASYMPCS_MIN_UNITS,
	halfWidth,
	halfWidthOneSided,
	rho,
} from "../../../../src/infer/statistics/sequential/asympCs.js";
import { approximateRho, contrastInterval, pValue, ratioInterval, variance } from "../formulas.js";
import { random } from "../random.js";

const close = (actual: number, truth: number, tolerance = 1e-12): boolean =>
	Math.abs(actual - truth) <= tolerance * Math.abs(truth);

t.test("AsympCS half widths agree with golden values of equations 9 and 134", async (t) => {
	const r = approximateRho(0.05, 5000);
	t.ok(close(r, 0.03984006677137368));
	for (const [n, truth] of [
		[100, 0.6694388617066039],
		[1000, 0.10637547006557503],
		[5000, 0.04292433718826846],
		[1e5, 0.010552070034257914],
	] as const)
		t.ok(close(halfWidth(1, n, 0.05, r), truth), `N ${n}`);
	t.ok(close(halfWidthOneSided(1, 1000, 0.05, approximateRho(0.1, 5000)), 0.09968835103830144));
});

t.test("the optimal ρ of AsympCS satisfies N*ρ² = 8.21197 at alpha 5 %", async (t) => {
	const r = rho(0.05, 5000);
	t.ok(Math.abs(r * r * 5000 - 8.21197) < 5e-6);
	for (const other of [r * 0.95, r * 1.05, approximateRho(0.05, 5000)])
		t.ok(halfWidth(1, 5000, 0.05, r) < halfWidth(1, 5000, 0.05, other));
});

t.test("the p-value of AsympCS is alpha if the interval touches zero", async (t) => {
	const r = rho(0.05, 5000);
	const se = 0.02;
	t.ok(close(pValue(halfWidth(se * Math.sqrt(2000), 2000, 0.05, r), se, 2000, r), 0.05, 1e-9));
	t.equal(pValue(0, se, 2000, r), 1);
});

t.test("the contrast includes the baseline's noise, and agrees with a published A/B test", async (t) => {
	// growthbook packages/stats/tests: A(n 3407, sum 1396.87, sumsq 52377.9767), B(3461, 2422.7, 134698.29): t = 2.3240227609.
	const moments = (n: number, sum: number, squares: number): Moments => ({
		n,
		mean: sum / n,
		m2: squares - (sum * sum) / n,
	});
	const a = moments(3407, 1396.87, 52377.9767);
	const b = moments(3461, 2422.7, 134698.29);
	const se = Math.sqrt(variance(a) / a.n + variance(b) / b.n);
	t.ok(close((b.mean - a.mean) / se, 2.3240227609, 1e-9));
	const plain = contrastInterval(b, a, 1, 0.05);
	const doubled = contrastInterval(b, a, 2, 0.05);
	t.ok(close(plain.estimate, b.mean - a.mean));
	t.ok(doubled.upper - doubled.lower > plain.upper - plain.lower);
	t.equal(ratioInterval(b, { ...a, mean: 0.01 }, 0.05), null, "a baseline that may be 0 has no relative effect");
	const clear = ratioInterval({ n: 2000, mean: 11, m2: 2000 }, { n: 2000, mean: 10, m2: 2000 }, 0.05);
	t.ok(clear !== null && clear.lower < 1.1 && clear.lower > 1.08 && clear.upper > 1.1 && clear.upper < 1.12);
});

t.test("AsympCS errs in at most 5 % of A/A runs with skewed outcomes from the minimum n on", async (t) => {
	const families: Readonly<Record<string, (next: () => number) => number>> = {
		exponential: (next) => -Math.log(1 - next()),
		lognormal: (next) => Math.exp(Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())),
	};
	const runs = 150;
	for (const [family, draw] of Object.entries(families)) {
		let crossed = 0;
		for (let run = 0; run < runs; run++) {
			const next = random(7_000 + run);
			const challenger: Welford = { n: 0, mean: 0, m2: 0 };
			const baseline: Welford = { n: 0, mean: 0, m2: 0 };
			for (let look = 0; look < 20; look++) {
				for (let unit = 0; unit < (look === 0 ? ASYMPCS_MIN_UNITS : 100); unit++) {
					add(challenger, draw(next));
					add(baseline, draw(next));
				}
				if (contrastInterval(challenger, baseline, 1, 0.05).upper < 0) {
					crossed += 1;
					break;
				}
			}
		}
		t.comment(`${family}: ${crossed} of ${runs}`);
		// 99 % upper limit of Binomial(150, 0.05) is 15.
		t.ok(crossed <= 15, `${family}: ${crossed}`);
	}
});

interface Welford {
	n: number;
	mean: number;
	m2: number;
}

function add(moments: Welford, value: number): void {
	moments.n += 1;
	const delta = value - moments.mean;
	moments.mean += delta / moments.n;
	moments.m2 += delta * (value - moments.mean);
}
