import { readFileSync } from "node:fs";
import t from "tap";
import { negativeLambertW } from "../../../src/infer/statistics/distributions/lambertW.js";
import { lnBeta, lnGamma, lnMultivariateBeta } from "../../../src/infer/statistics/distributions/lnGamma.js";
import { logSumExp } from "../../../src/infer/statistics/distributions/logSumExp.js";
import {
	type ArmShares,
	logEvidence,
	logMartingale,
} from "../../../src/infer/statistics/sequential/bernoulliMixture.js";

interface Golden {
	readonly lnGamma: readonly { readonly x: number; readonly value: number }[];
	readonly lnBeta: readonly { readonly a: number; readonly b: number; readonly value: number }[];
	readonly negativeLambertW: readonly { readonly c: number; readonly value: number }[];
	readonly logMartingale: readonly {
		readonly n: number;
		readonly sum: number;
		readonly p: number;
		readonly a: number;
		readonly b: number;
		readonly value: number;
	}[];
	readonly logEvidence: readonly {
		readonly side: "above" | "below";
		readonly t: { readonly n: number; readonly sum: number };
		readonly c: { readonly n: number; readonly sum: number };
		readonly slope: number;
		readonly offset: number;
		readonly a: number;
		readonly b: number;
		readonly shares: ArmShares;
		readonly value: number;
	}[];
}

const golden = JSON.parse(readFileSync("test/fixtures/statistics/specialFunctions.json", "utf8")) as Golden;

/** Error relative to max(1, |truth|). */
function error(actual: number, truth: number): number {
	return Math.abs(actual - truth) / Math.max(1, Math.abs(truth));
}

t.test("ln Γ agrees with mpmath at 50 digits to 1e-13", async (t) => {
	for (const { x, value } of golden.lnGamma) t.ok(error(lnGamma(x), value) < 1e-13, `lnGamma(${x})`);
	for (const x of [0, -1, Number.NaN]) t.ok(Number.isNaN(lnGamma(x)), `lnGamma(${x}) is NaN`);
});

t.test("ln B agrees with mpmath to 1e-13, absolutely and relatively, up to a+b of 1e8", async (t) => {
	for (const { a, b, value } of golden.lnBeta) {
		t.ok(error(lnBeta(a, b), value) < 1e-13, `lnBeta(${a}, ${b}) = ${lnBeta(a, b)}, truth ${value}`);
		t.equal(lnBeta(b, a), lnBeta(a, b));
	}
	t.ok(error(lnMultivariateBeta([2, 3, 4]), Math.log((1 * 2 * 6) / 40320)) < 1e-13);
	t.ok(Number.isNaN(lnBeta(0, 1)));
});

t.test("W of branch −1 agrees with mpmath to 1e-12", async (t) => {
	for (const { c, value } of golden.negativeLambertW)
		t.ok(error(negativeLambertW(c), value) < (c < 1.001 ? 1e-9 : 1e-12), `c = ${c}`);
	t.equal(negativeLambertW(1), 1);
	t.ok(Number.isNaN(negativeLambertW(0.9)));
});

t.test("logSumExp neither overflows nor fails for an empty list", async (t) => {
	t.equal(logSumExp([1000, 1000]), 1000 + Math.log(2));
	t.equal(logSumExp([]), Number.NEGATIVE_INFINITY);
});

t.test("the beta-binomial martingale and the two-arm evidence agree with mpmath to 1e-9", async (t) => {
	for (const { n, sum, p, a, b, value } of golden.logMartingale)
		t.ok(error(logMartingale({ n, sum }, p, { a, b }), value) < 1e-9, `n ${n} S ${sum} p ${p}`);
	for (const { side, t: arm, c, slope, offset, a, b, shares, value } of golden.logEvidence)
		t.ok(
			Math.abs(logEvidence(side, arm, c, { slope, offset }, { a, b }, shares) - value) <
				1e-9 * Math.max(1, arm.n / 1_000),
			`${side} ${JSON.stringify(arm)} ${logEvidence(side, arm, c, { slope, offset }, { a, b }, shares)} ${value}`,
		);
});
