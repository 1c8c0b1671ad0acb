import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { adjustedPs, logAdjusted, type Procedure } from "../../../../src/infer/statistics/multiplicity/adjusted.js";
import { discoveries, logEbh } from "../../../../src/infer/statistics/multiplicity/eValues.js";
import { random } from "../random.js";

const PROCEDURES: readonly Procedure[] = ["bonferroni", "holm", "benjamini-hochberg", "benjamini-yekutieli"];

interface Golden {
	readonly families: readonly ({ readonly p: readonly number[] } & Readonly<Record<Procedure, readonly number[]>>)[];
	readonly fleets: readonly {
		readonly e: readonly number[];
		readonly alpha: number;
		readonly discovered: readonly boolean[];
	}[];
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/multiplicity.json", "utf8")) as Golden;

const same = (actual: readonly (number | null)[], truth: readonly number[], tolerance = 1e-10): boolean =>
	actual.length === truth.length &&
	actual.every((value, i) => value !== null && Math.abs(value - (truth[i] ?? 0)) <= tolerance * (truth[i] ?? 0));

t.test("adjusted p-values agree with statsmodels for 300 families with ties", async (t) => {
	for (const family of golden.families)
		for (const procedure of PROCEDURES)
			if (!same(adjustedPs(procedure, family.p), family[procedure]))
				t.fail(`${procedure} of ${family.p}: ${adjustedPs(procedure, family.p)}, truth ${family[procedure]}`);
	t.equal(golden.families.length, 300);
});

t.test("published families have their adjusted p-values", async (t) => {
	const p = [0.01, 0.04, 0.03, 0.005, 0.06, 0.007];
	t.ok(same(adjustedPs("benjamini-hochberg", p), [0.02, 0.048, 0.045, 0.02, 0.06, 0.02]));
	t.ok(same(adjustedPs("benjamini-yekutieli", p), [0.049, 0.1176, 0.11025, 0.049, 0.147, 0.049]));
	t.ok(same(adjustedPs("holm", p), [0.04, 0.09, 0.09, 0.03, 0.09, 0.035]));
	// tea-tasting test_multiplicity.py: the same numbers, in another order.
	const other = [0.005, 0.06, 0.007, 0.04, 0.01, 0.03];
	t.ok(same(adjustedPs("benjamini-hochberg", other), [0.02, 0.06, 0.02, 0.048, 0.02, 0.045]));
	t.ok(same(adjustedPs("benjamini-yekutieli", other), [0.049, 0.147, 0.049, 0.1176, 0.049, 0.11025]));
	t.same(adjustedPs("holm", []), []);
});

t.test("p-values below the range of doubles keep their order", async (t) => {
	const logPs = [-2000, -1000, -1500, -3];
	const holm = logAdjusted("holm", logPs);
	t.ok((holm[0] ?? 0) < (holm[2] ?? 0) && (holm[2] ?? 0) < (holm[1] ?? 0));
	const bh = logAdjusted("benjamini-hochberg", logPs);
	t.ok(Math.abs((bh[0] ?? 0) - (-2000 + Math.log(4))) < 1e-12);
	t.same(adjustedPs("holm", [0, 0]), [0, 0], "as p-values they can only tie");
});

t.test("untested hypotheses count in the family without a result; invalid p-values are untested", async (t) => {
	for (const procedure of PROCEDURES) {
		const full = adjustedPs(procedure, [0.01, 1, 1, 0.02]);
		const holes = adjustedPs(procedure, [0.01, null, Number.NaN, 0.02]);
		t.same(holes, [full[0], null, null, full[3]], procedure);
		t.same(adjustedPs(procedure, [-0.1, 1.5, Number.POSITIVE_INFINITY]), [null, null, null], procedure);
	}
});

t.test("adjusted p-values do not depend on the order of the hypotheses", async () => {
	fc.assert(
		fc.property(fc.array(fc.double({ min: -50, max: 0, noNaN: true }), { maxLength: 12 }), (logPs) => {
			const reversed = [...logPs].reverse();
			return (
				PROCEDURES.every(
					(procedure) =>
						JSON.stringify(logAdjusted(procedure, logPs)) ===
						JSON.stringify(logAdjusted(procedure, reversed).reverse()),
				) &&
				logPs.every((logP, i) => {
					const [bonferroni, holm, bh, by] = PROCEDURES.map(
						(procedure) => logAdjusted(procedure, logPs)[i] ?? Number.NaN,
					);
					return (
						(bonferroni ?? 0) >= (holm ?? 0) - 1e-12 &&
						(holm ?? 0) >= (bh ?? 0) - 1e-12 &&
						(by ?? 0) >= (bh ?? 0) &&
						(bh ?? 0) >= logP - 1e-12
					);
				})
			);
		}),
		{ numRuns: 500, seed: 3 },
	);
});

t.test("e-BH equals its definition on 300 fleets", async (t) => {
	for (const { e, alpha, discovered } of golden.fleets)
		t.same(discoveries(e.map(Math.log), alpha), discovered, `${e} at ${alpha}`);
	// Exactly on the line: 2 of 2 with e = 20 at 5 % on average.
	t.same(discoveries([Math.log(20), Math.log(20)], 0.05), [true, true]);
	t.same(discoveries([Math.log(40), null], 0.05), [true, false]);
	t.same(discoveries([Math.log(39.9), null], 0.05), [false, false]);
	t.same(logEbh([Number.NaN, null, -5, Number.POSITIVE_INFINITY]), [null, null, 0, Number.NEGATIVE_INFINITY]);
	t.same(discoveries([], 0.05), []);
});

t.test("e-BH keeps the false discovery rate under dependence, and repeated p-values do not", async (t) => {
	const next = random(41);
	const gauss = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
	const [runs, experiments, looks, alpha] = [400, 20, 30, 0.1];
	let [byE, byP] = [0, 0];
	for (let run = 0; run < runs; run++) {
		// One Brownian path shared by all, plus one each; every fifth experiment has an effect.
		const s = new Array<number>(experiments).fill(0);
		const stoppedE = new Array<number>(experiments).fill(0);
		const bestP = new Array<number>(experiments).fill(0);
		for (let look = 1; look <= looks; look++) {
			const shared = gauss();
			for (let i = 0; i < experiments; i++) {
				s[i] = (s[i] ?? 0) + Math.SQRT1_2 * (shared + gauss()) + (i % 5 === 0 ? 0.7 : 0);
				const square = (s[i] ?? 0) ** 2;
				// Normal mixture of variance 1 on the mean: a martingale from 1; stopped where it first reaches 200.
				const logE = -0.5 * Math.log(1 + look) + square / (2 * (1 + look));
				if ((stoppedE[i] ?? 0) < Math.log(200)) stoppedE[i] = logE;
				// P(|Z| > z) ≤ exp(−z²/2): the p-value of a peek, if anything too large.
				bestP[i] = Math.min(bestP[i] ?? 0, -square / (2 * look));
			}
		}
		const share = (found: readonly boolean[]): number => {
			const all = found.filter(Boolean).length;
			return found.filter((hit, i) => hit && i % 5 !== 0).length / Math.max(1, all);
		};
		byE += share(discoveries(stoppedE, alpha)) / runs;
		byP += share(logAdjusted("benjamini-hochberg", bestP).map((p) => p !== null && p <= Math.log(alpha))) / runs;
	}
	t.comment(
		`false discovery rate at ${alpha}: e-BH ${byE.toFixed(3)}, BH on the best p of all looks ${byP.toFixed(3)}`,
	);
	t.ok(byE <= alpha, `${byE}`);
	t.ok(byP > alpha, `${byP}`);
});
