/**
 * The infimum over the null's boundary agrees with a plain scan of the formula in nullBoundary.ts, and the orthogonal ratio is
 * a supermartingale by exact expectation.
 */
import t from "tap";
import { lnBeta } from "../../../../src/infer/statistics/distributions/lnGamma.js";
import type { ArmShares, Contrast, Sample, Side } from "../../../../src/infer/statistics/sequential/bernoulliArms.js";
import { logEvidence, PRIOR_RARE, PRIOR_RATE } from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { logNullInfimum, MIXTURE_SHARE } from "../../../../src/infer/statistics/sequential/nullBoundary.js";
import { logOrthogonalRatio } from "../../../../src/infer/statistics/sequential/orthogonalRatio.js";
import { random } from "../random.js";

const EQUAL: ArmShares = { challenger: 1, baseline: 1 };
const FRACTIONS = [0.99, 0.9, ...Array.from({ length: 12 }, (_, index) => 0.7 * 0.58 ** index)];
const WEIGHTS = FRACTIONS.map((x) => x ** 0.25 / FRACTIONS.reduce((sum, y) => sum + y ** 0.25, 0));

const part = (x: number, p: number): number => (x === 0 ? 0 : x * Math.log(p));
const logL = ({ n, sum }: Sample, p: number): number => part(sum, p) + part(n - sum, 1 - p);
const posterior = ({ n, sum }: Sample, { a, b }: { a: number; b: number }): number =>
	lnBeta(a + sum, b + n - sum) - lnBeta(a, b);

/** ln M_b at one null point, written out with differences of logarithms. */
function plain(
	side: Side,
	arm: Sample,
	c: Sample,
	{ slope, offset }: Contrast,
	pc: number,
	mixture: number,
	shares: ArmShares,
): number {
	const pt = slope * pc + offset;
	const [mt, mc] = [arm.sum / arm.n, c.sum / c.n];
	const up = side === "above";
	const box = up
		? logL(arm, Math.min(mt, pt)) + logL(c, Math.max(mc, pc))
		: logL(arm, Math.max(mt, pt)) + logL(c, Math.min(mc, pc));
	const x = (pt * (1 - pt)) / shares.challenger;
	const y = (slope * pc * (1 - pc)) / shares.baseline;
	const reach = up ? Math.min((1 - pt) / x, pc / y) : -Math.min(pt / x, (1 - pc) / y);
	const here = logL(arm, pt) + logL(c, pc);
	const terms = FRACTIONS.map((fraction, index) => {
		const q = logL(arm, pt + reach * fraction * x) + logL(c, pc - reach * fraction * y);
		return Math.log((1 - MIXTURE_SHARE) * (WEIGHTS[index] ?? 0)) + q - here;
	});
	terms.push(Math.log(MIXTURE_SHARE) + mixture - box);
	const top = Math.max(...terms);
	return top + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - top), 0));
}

/** Smallest value on about 6,000 points of the line, even on the arcsine scale of either arm and near either end. */
function scan(lo: number, hi: number, contrast: Contrast, valueAt: (pc: number) => number): number {
	const angle = (p: number): number => Math.asin(Math.sqrt(Math.min(1, Math.max(0, p))));
	const onT = (pc: number): number => contrast.slope * pc + contrast.offset;
	let best = Number.POSITIVE_INFINITY;
	const size = 2_000;
	for (let index = 1; index < size; index++) {
		const share = index / size;
		const c = Math.sin(angle(lo) + (angle(hi) - angle(lo)) * share) ** 2;
		const viaT = Math.sin(angle(onT(lo)) + (angle(onT(hi)) - angle(onT(lo))) * share) ** 2;
		const near = (hi - lo) * Math.exp(-12 * share);
		for (const pc of [c, (viaT - contrast.offset) / contrast.slope, lo + near, hi - near])
			if (pc > lo && pc < hi) best = Math.min(best, valueAt(pc));
	}
	return best;
}

interface Case {
	readonly side: Side;
	readonly arm: Sample;
	readonly c: Sample;
	readonly contrast: Contrast;
	readonly shares: ArmShares;
	readonly rare: boolean;
}

/** Random samples of 2 to 50,000 units at all levels, with lines near and far. */
function someCase(next: () => number): Case {
	const kind = Math.floor(next() * 4);
	const level = (): number => {
		if (kind === 0) return next();
		if (kind === 1) return next() < 0.4 ? 0 : 10 ** (-1 - 3 * next());
		if (kind === 2) return next() < 0.4 ? 1 : 1 - 10 ** (-1 - 3 * next());
		return 0.5 + 0.1 * next();
	};
	const sample = (): Sample => {
		const n = Math.ceil(2 * 25_000 ** next());
		return { n, sum: Math.round(2 * n * level()) / 2 };
	};
	const arm = sample();
	const c = sample();
	const contrast =
		next() < 0.5
			? { slope: 1, offset: (next() - 0.5) * 10 ** (-3 * next()) }
			: { slope: 10 ** (2 * next() - 1), offset: 0 };
	const shares = next() < 0.5 ? EQUAL : { challenger: arm.n, baseline: c.n };
	const above = arm.sum / arm.n > contrast.slope * (c.sum / c.n) + contrast.offset;
	return { side: above ? "above" : "below", arm, c, contrast, shares, rare: next() < 0.5 };
}

t.test("the infimum over the null's boundary agrees with a dense scan for 400 random samples", async (t) => {
	const next = random(77);
	let missed = 0;
	let worst = 0;
	let compared = 0;
	for (let run = 0; run < 400; run++) {
		const { side, arm, c, contrast, shares, rare } = someCase(next);
		const prior = rare ? PRIOR_RARE : PRIOR_RATE;
		const pooled = { n: arm.n + c.n, sum: arm.sum + c.sum };
		const mixture = Math.log(
			0.5 * Math.exp(posterior(arm, prior) + posterior(c, prior) - posterior(pooled, prior)) + 0.5,
		);
		const top = Number.isFinite(mixture)
			? mixture + posterior(pooled, prior)
			: posterior(arm, prior) + posterior(c, prior) - Math.LN2;
		const lo = Math.max(0, -contrast.offset / contrast.slope);
		const hi = Math.min(1, (1 - contrast.offset) / contrast.slope);
		if (!(lo < hi) || arm.sum / arm.n === contrast.slope * (c.sum / c.n) + contrast.offset) continue;
		const found = logEvidence(side, arm, c, contrast, prior, shares);
		const scanned = scan(lo, hi, contrast, (pc) => plain(side, arm, c, contrast, pc, top, shares));
		// Large values are compared by relative error.
		const size = Math.max(1, Math.abs(scanned));
		compared += 1;
		if (found > scanned + 1e-6 * size) {
			missed += 1;
			t.comment(JSON.stringify({ side, arm, c, contrast, shares, found, scanned }));
		}
		if ((scanned - found) / size > 0.02) t.comment(JSON.stringify({ side, arm, c, contrast, shares, found, scanned }));
		worst = Math.max(worst, (scanned - found) / size);
	}
	t.comment(`${compared} compared, ${missed} missed, the scan lies at most ${worst.toExponential(1)} above`);
	t.ok(compared > 300);
	t.equal(missed, 0);
	t.ok(worst < 0.02, `${worst}`);
});

t.test("the test for a threshold agrees with the full minimum", async (t) => {
	const next = random(5);
	let reached = 0;
	for (let run = 0; run < 1_000; run++) {
		const { side, arm, c, contrast, shares, rare } = someCase(next);
		const prior = rare ? PRIOR_RARE : PRIOR_RATE;
		const full = logEvidence(side, arm, c, contrast, prior, shares);
		const logMixture = 0;
		const trial = { side, challenger: arm, baseline: c, logMixture, shares };
		const exact = logNullInfimum(trial, contrast);
		if (Number.isFinite(full)) {
			const bar = exact + (next() - 0.5) * 2;
			const early = logNullInfimum(trial, contrast, bar) >= bar;
			reached += early ? 1 : 0;
			if (early !== exact >= bar) t.fail(JSON.stringify({ side, arm, c, contrast, exact, bar }));
		}
	}
	t.ok(reached > 200);
});

t.test("the orthogonal ratio has expectation at most 1 under every dominated mean", async (t) => {
	// Each arm sends one value of 0, ½ or 1; the expectation over both arms is exact.
	const values = (mean: number, half: number): [number, number][] => [
		[0, 1 - half / 2 - mean],
		[0.5, half],
		[1, mean - half / 2],
	];
	let largest = 0;
	for (const side of ["above", "below"] as const)
		for (const slope of [0.5, 1, 3])
			for (const pc of [0, 0.001, 0.1, 0.3, 1])
				for (const offset of [0, 0.05])
					for (const worse of [0, 0.5, 0.9])
						for (const halves of [0, 0.5, 1]) {
							const pt = slope * pc + offset;
							if (pt > 1) continue;
							// Means of the null at the point, or further inside: a lower challenger, a higher baseline.
							const up = side === "above";
							const meanT = up ? pt * (1 - worse) : pt + (1 - pt) * worse;
							const meanC = up ? pc + (1 - pc) * worse : pc * (1 - worse);
							const most = (mean: number): number => 2 * Math.min(mean, 1 - mean) * halves;
							let expected = 0;
							for (const [x, px] of values(meanT, most(meanT)))
								for (const [y, py] of values(meanC, most(meanC)))
									expected +=
										px *
										py *
										Math.exp(logOrthogonalRatio(side, { n: 1, sum: x }, { n: 1, sum: y }, { pt, pc, slope }, EQUAL));
							largest = Math.max(largest, expected);
							if (expected > 1 + 1e-12) t.fail(`${side} ${slope} ${pc} ${offset} ${worse} ${halves}: ${expected}`);
						}
	t.ok(largest > 1 - 1e-9, "exactly 1 at the point itself with values 0 and 1");
	t.equal(logOrthogonalRatio("above", { n: 9, sum: 0 }, { n: 9, sum: 9 }, { pt: 0, pc: 1, slope: 1 }, EQUAL), 0);
});
