/**
 * Published vectors of confseq (test/uniform_boundaries_unittest.cpp), and of the related normal mixture (GAVI), mSPRT and
 * Statsig's version of it, written out for comparison with ours.
 */

import t from "tap";
import { normalIsf } from "../../../../src/infer/statistics/distributions/normal.js";
import { rootOf } from "../../../../src/infer/statistics/distributions/root.js";
import { halfWidth } from "../../../../src/infer/statistics/sequential/asympCs.js";
import { logMartingale } from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { centredPrior, logOneSided } from "../../../../src/infer/statistics/sequential/betaBinomial.js";
import { quantilePValue, type RankCounts } from "../../../../src/infer/statistics/sequential/quantileSequence.js";
import { approximateRho, logNormalCdf } from "../formulas.js";

const near = (actual: number, truth: number, tolerance: number): boolean => Math.abs(actual - truth) <= tolerance;

/** confseq's (s, v) at g = 0.2, h = 0.8: n = v/(gh) coins of 0.2, s hits more than expected. */
const P = 0.2;
const N = 100 / (P * (1 - P));
const sampleAt = (s: number): { n: number; sum: number } => ({ n: N, sum: P * N + s });

t.test("the beta-binomial mixture agrees with vectors published by confseq", async (t) => {
	const two = centredPrior(P, { alpha: 0.05, tunedAt: N });
	const at = (s: number): number => logMartingale(sampleAt(s), P, two);
	t.ok(near(at(10), -0.6941012, 1e-7));
	t.ok(
		near(
			rootOf((s) => at(s) - Math.log(20), 5, 400, 1e-9),
			31.4308,
			1e-5,
		),
	);
	const one = centredPrior(P, { alpha: 0.1, tunedAt: N });
	const above = (s: number): number => logOneSided("above", sampleAt(s), P, one);
	t.ok(near(above(10), -0.07134019, 1e-8));
	t.ok(
		near(
			rootOf((s) => above(s) - Math.log(20), 5, 400, 1e-9),
			28.41238,
			1e-5,
		),
	);
	// The other side is the same test of the misses.
	const mirrored = logOneSided(
		"below",
		{ n: N, sum: (1 - P) * N - 10 },
		1 - P,
		centredPrior(1 - P, { alpha: 0.1, tunedAt: N }),
	);
	t.ok(near(mirrored, above(10), 1e-10));
});

t.test("confidence intervals of one rate agree with published vectors", async (t) => {
	for (const [hits, n, tunedAt, lower, upper] of [
		[700, 1000, 100, 0.651629, 0.745949],
		[15, 50, 50, 0.129556, 0.511896],
		[5, 50, 50, 0.013021, 0.269264],
		[1, 50, 50, 0, 0.13489],
		[1, 2, 50, 0, 1],
		[100, 200, 1, 0.328923, 0.671076],
		[0, 1, 50, 0, 1],
		[1, 1, 50, 0, 1],
	] as const) {
		const excess = (p: number): number =>
			logMartingale({ n, sum: hits }, p, centredPrior(p, { alpha: 0.05, tunedAt })) - Math.log(20);
		const tiny = 1e-9;
		const from = excess(tiny) < 0 ? 0 : rootOf(excess, tiny, hits / n, 1e-9);
		const to = excess(1 - tiny) < 0 ? 1 : rootOf(excess, Math.max(tiny, hits / n), 1 - tiny, 1e-9);
		t.ok(near(from, lower, 5e-6) && near(to, upper, 5e-6), `${hits}/${n}: ${from}, ${to}`);
	}
});

/** 1…1000 and the same plus `shift`, counted at every value of either. */
function shifted(shift: number): [RankCounts, RankCounts] {
	const values = Array.from({ length: 1000 + shift }, (_, index) => index + 1);
	const arm = (first: number): RankCounts => ({
		n: 1000,
		points: values.map((value) => ({ value, atMost: Math.min(1000, Math.max(0, value - first + 1)) })),
		rankError: 0,
	});
	return [arm(1), arm(1 + shift)];
}

t.test("p-values of two arms' quantiles agree with published vectors", async (t) => {
	for (const [q, shift, truth] of [
		[0.5, 70, 0.814704],
		[0.5, 85, 0.0838055],
		[0.5, 100, 0.0054947],
		[0.9, 55, 0.0340463],
	] as const) {
		const [a, b] = shifted(shift);
		const result = quantilePValue("different", a, b, q, { alpha: 0.05, tunedAt: 100 });
		t.ok("p" in result && near(result.p, truth, 1e-6), `${q} ${shift}: ${JSON.stringify(result)}`);
		const swapped = quantilePValue("different", b, a, q, { alpha: 0.05, tunedAt: 100 });
		t.ok("p" in swapped && "p" in result && near(swapped.p, result.p, 1e-9));
	}
});

/** Howard et al., equation 14, as confseq writes it: s in units of the sum, v its intrinsic time. */
const bestRho = (v: number, alpha: number): number => v / (-2 * Math.log(alpha) + Math.log1p(-2 * Math.log(alpha)));
const normalMixture = (s: number, v: number, rho: number): number =>
	0.5 * Math.log(rho / (v + rho)) + (s * s) / (2 * (v + rho));

t.test("the normal mixture (GAVI) is AsympCS with ρ in place of 1/ρ²", async (t) => {
	const rho = bestRho(100, 0.05);
	t.ok(near(rho, 12.60056, 1e-5));
	t.ok(near(normalMixture(10, 100, rho), -0.6510052, 1e-7));
	const bound = Math.sqrt((100 + rho) * (Math.log1p(100 / rho) + 2 * Math.log(20)));
	t.ok(near(bound, 30.35209, 1e-5));
	t.ok(near(halfWidth(1, 100, 0.05, approximateRho(0.05, 100)) * 100, bound, 1e-10), "equation 9 is the same bound");
	const half = bestRho(100, 0.1);
	const oneSided = (s: number): number =>
		normalMixture(s, 100, half) + Math.log(2) + logNormalCdf(s / Math.sqrt(100 + half));
	t.ok(near(oneSided(10), -0.06502391, 1e-7));
	t.ok(
		near(
			rootOf((s) => oneSided(s) - Math.log(20), 1, 100, 1e-9),
			27.66071,
			1e-5,
		),
	);
});

t.test("mSPRT agrees with published vectors, and Statsig's version is wider", async (t) => {
	const logMsprt = (d: number, v: number, tau2: number): number =>
		0.5 * Math.log(v / (v + tau2)) + (tau2 * d * d) / (2 * v * (v + tau2));
	for (const [d, v, tau2, p] of [
		[0.1, 0.001, 0.01, 0.03520712123400328],
		[0.1, 0.0005, 0.01, 0.0003349436313420758],
		[0.05, 0.0005, 0.01, 0.42371629550137335],
	] as const)
		t.ok(near(Math.min(1, Math.exp(-logMsprt(d, v, tau2))), p, 1e-14));
	// 1,000 per arm of variance 1.
	const v = 2 / 1000;
	const tau = (normalIsf(0.025) ** 2 * 2) / 2000;
	const critical = (level: number): number =>
		Math.sqrt(((v + tau) / tau) * (-2 * Math.log(level) - Math.log(v / (v + tau))));
	t.ok(near(critical(0.025), 3.5845153597486736, 1e-12));
	// The likelihood ratio itself reaches 20 earlier.
	const needed = critical(0.05);
	t.ok(near(logMsprt(needed * Math.sqrt(v), v, tau), Math.log(20), 1e-12) && needed < 3.39);
});
