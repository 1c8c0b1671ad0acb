import { readFileSync } from "node:fs";
import t from "tap";
import { differenceBounds, ratioBounds } from "../../../../src/infer/statistics/sequential/bernoulliBounds.js";
import {
	logEvidence,
	logEvidenceBelow,
	PRIOR_RARE,
	PRIOR_RATE,
	type Sample,
	type Side,
} from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";

interface Golden {
	readonly side: Side;
	readonly challenger: Sample;
	readonly baseline: Sample;
	readonly slope: number;
	readonly offset: number;
	readonly logE: number;
}

const GOLDEN = JSON.parse(readFileSync("test/fixtures/statistics/bernoulliExtremes.json", "utf8")) as readonly Golden[];

t.test("Bernoulli e-values at low rates and few units agree with a scan at 40 digits", async (t) => {
	t.ok(GOLDEN.length >= 12);
	for (const { side, challenger, baseline, slope, offset, logE } of GOLDEN) {
		const found = logEvidence(side, challenger, baseline, { slope, offset }, PRIOR_RARE);
		const what = `${side} ${challenger.sum}/${challenger.n} ${baseline.sum}/${baseline.n}: ${found} against ${logE}`;
		t.ok(Math.abs(found - logE) <= 1e-8 * Math.max(1, Math.abs(logE)), what);
	}
});

t.test("Bernoulli bounds contain the estimate and have evidence 1/alpha at every rate and size", async (t) => {
	for (const n of [50, 1_000, 100_000, 10_000_000])
		for (const rate of [1e-4, 0.01, 0.5, 0.9999])
			for (const [alpha, prior] of [
				[0.05, PRIOR_RARE],
				[0.001, PRIOR_RATE],
			] as const) {
				const a = { n, sum: Math.round(n * rate) };
				const c = { n: 2 * n, sum: Math.round(2.2 * n * Math.min(rate, 0.45)) };
				const { lower, upper } = differenceBounds(a, c, alpha, prior);
				const difference = a.sum / a.n - c.sum / c.n;
				if (!(lower <= difference && difference <= upper)) t.fail(`${n} ${rate}: ${lower} ${upper}`);
				const at = (side: Side, offset: number): number => logEvidence(side, a, c, { slope: 1, offset }, prior);
				const bar = -Math.log(alpha);
				const step = 2e-9;
				if (lower > -1 && !(at("above", lower) >= bar - 1e-9 && at("above", lower + step) < bar))
					t.fail(`${n} ${rate}: lower ${lower}`);
				if (upper < 1 && !(at("below", upper) >= bar - 1e-9 && at("below", upper - step) < bar))
					t.fail(`${n} ${rate}: upper ${upper}`);
				if (c.sum === 0) continue;
				const ratio = ratioBounds(a, c, alpha, prior);
				const quotient = a.sum / a.n / (c.sum / c.n);
				if (!(ratio.lower <= quotient && quotient <= ratio.upper)) t.fail(`${n} ${rate}: ratio`);
			}
});

t.test("values outside [0, 1] count as no data", async (t) => {
	const good: Sample = { n: 1_000, sum: 300 };
	const nothing = differenceBounds(good, { n: 0, sum: 0 }, 0.05, PRIOR_RATE);
	for (const bad of [
		{ n: Number.NaN, sum: 3 },
		{ n: -5, sum: 3 },
		{ n: Number.POSITIVE_INFINITY, sum: 3 },
		{ n: 100, sum: Number.NaN },
		{ n: 100, sum: -1 },
		{ n: 100, sum: 101 },
		{ n: 100, sum: Number.POSITIVE_INFINITY },
	]) {
		t.same(differenceBounds(good, bad, 0.05, PRIOR_RATE), nothing, JSON.stringify(bad));
		t.same(differenceBounds(bad, bad, 0.05, PRIOR_RATE), { lower: -1, upper: 1 });
		t.same(ratioBounds(bad, bad, 0.05, PRIOR_RATE), { lower: 0, upper: 1000 });
		t.ok(logEvidence("above", bad, bad, { slope: 1, offset: 0 }, PRIOR_RATE) <= 0);
		t.equal(logEvidenceBelow(bad, 0.5, PRIOR_RATE), 0);
		for (const side of ["above", "below"] as const)
			t.ok(logEvidence(side, bad, good, { slope: 1, offset: 0 }, PRIOR_RATE) <= 0);
	}
});
