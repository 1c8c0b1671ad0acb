/** The method for each metric, and that its results equal those of its own module. */

import t from "tap";
import type { Effect, Metric } from "../../../src/declare/resources/resource.js";
import { compare } from "../../../src/infer/statistics/comparison.js";
import type { MetricEvidence } from "../../../src/infer/statistics/evidence.js";
import { LOG_E_MAX } from "../../../src/infer/statistics/finding.js";
import { isMeasured, methodOf, type Question } from "../../../src/infer/statistics/question.js";
import { ASYMPCS_MIN_UNITS } from "../../../src/infer/statistics/sequential/asympCs.js";
import { differenceBounds } from "../../../src/infer/statistics/sequential/bernoulliBounds.js";
import { PRIOR_RATE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { momentsAt } from "../../../src/infer/statistics/statistics/coMoments.js";
import { logCapitalOf } from "../../../src/infer/statistics/statistics/logCapital.js";
import { metric, rate } from "../../decide/rollout/example.js";
import { coMomentsOf } from "./formulas.js";
import { random } from "./random.js";

const ABSOLUTE: Effect = { kind: "absolute", value: 0.1 };
const RELATIVE: Effect = { kind: "relative", value: 0.05 };
const ask = (spec: Partial<Metric["spec"]>, effect = ABSOLUTE, role: Question["role"] = "goal"): Question => ({
	metric: metric("m", spec),
	role,
	effect,
	slowLine: 0,
	reference: null,
	meanUnits: ASYMPCS_MIN_UNITS,
	shares: { challenger: 1, baseline: 1 },
	alpha: 0.05,
	harmAlpha: 0.05,
});
const measured = (question: Question, t: MetricEvidence, c: MetricEvidence) => {
	const result = compare(question, t, c);
	if (!isMeasured(result)) throw new RangeError(result.note);
	return result;
};

t.test("each metric has its method in the table", async (t) => {
	const range = { lo: 1, hi: 5 };
	for (const [spec, effect, method] of [
		[{ type: "rate" }, ABSOLUTE, "bernoulli-mixture"],
		[{ type: "rate", source: "errors" }, RELATIVE, "bernoulli-mixture"],
		[{ type: "quantile", source: "latency", quantile: 0.99 }, RELATIVE, "bernoulli-mixture"],
		[{ type: "mean", range }, ABSOLUTE, "bernoulli-mixture"],
		[{ type: "mean", range }, RELATIVE, "bernoulli-mixture"],
		[{ type: "mean", range: { lo: -1, hi: 5 } }, ABSOLUTE, "bernoulli-mixture"],
		[{ type: "mean", range: { lo: -1, hi: 5 } }, RELATIVE, "asympcs"],
		[{ type: "mean" }, ABSOLUTE, "asympcs"],
		[{ type: "mean", source: "errors" }, ABSOLUTE, "bernoulli-mixture"],
		[{ type: "ratio", perUnit: "sum", denominator: "requests" }, RELATIVE, "asympcs"],
	] as const)
		t.equal(methodOf(ask(spec, effect)), method, JSON.stringify(spec));
});

t.test("a mean in a range is exact from the first unit on", async (t) => {
	const stars = (n: number, mean: number): MetricEvidence => ({ n, mean, m2: n });
	const { improvement, lower, upper, logE } = measured(
		ask({ type: "mean", range: { lo: 1, hi: 5 } }),
		stars(80, 4),
		stars(80, 3),
	);
	const shares = differenceBounds({ n: 80, sum: 60 }, { n: 80, sum: 40 }, 0.05, PRIOR_RATE);
	t.same([improvement, lower, upper], [1, 4 * shares.lower, 4 * shares.upper]);
	t.equal(lower > 0.1, logE >= Math.log(20));
	t.match(compare(ask({ type: "mean", range: { lo: 1, hi: 5 } }), stars(80, 5.1), stars(80, 3)), {
		note: /outside \[1, 5\]/,
	});
	// A share of the baseline: 4 ÷ 3 − 1, whatever the range.
	t.ok(
		Math.abs(
			(measured(ask({ type: "mean", range: { lo: 1, hi: 5 } }, RELATIVE), stars(800, 4), stars(800, 3)).improvement ??
				0) -
				1 / 3,
		) < 1e-12,
	);
});

/** Units with a value, its value before, and a number of requests. */
function units(n: number, lift: number, seed: number) {
	const next = random(seed);
	const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
	const rows = Array.from({ length: n }, () => {
		const before = 20 + 4 * normal();
		const requests = 1 + Math.floor(4 * next());
		const value = lift + before + normal();
		return { cuped: [value, before], ratio: [value * requests, requests] };
	});
	const cuped = coMomentsOf(
		2,
		rows.map((row) => row.cuped),
	);
	const ratio = coMomentsOf(
		2,
		rows.map((row) => row.ratio),
	);
	return { cuped: { ...momentsAt(cuped, 0), co: cuped }, ratio: { ...momentsAt(ratio, 0), co: ratio } };
}

t.test("a covariate narrows the interval by the variance it explains, in both directions", async (t) => {
	const [challenger, baseline] = [units(2_000, 0.3, 1), units(2_000, 0, 2)];
	const plain = measured(ask({ type: "mean" }), challenger.cuped, baseline.cuped);
	const adjusted = measured(ask({ type: "mean", covariateMs: 1 }), challenger.cuped, baseline.cuped);
	const ratio = (adjusted.standardError ?? 1) / (plain.standardError ?? 1);
	// Correlation 4/√17: √(1 − 16/17) = 0.2425.
	t.ok(Math.abs(ratio - 0.2425) < 0.02, `${ratio}`);
	t.ok(Math.abs((adjusted.improvement ?? 0) - 0.3) < 0.15 && adjusted.lower > 0 && plain.lower < 0);
	const down = measured(ask({ type: "mean", covariateMs: 1, direction: "down" }), challenger.cuped, baseline.cuped);
	t.same(
		[down.improvement, down.lower, down.upper],
		[0 - (adjusted.improvement ?? 0), 0 - adjusted.upper, 0 - adjusted.lower],
	);
	t.equal(adjusted.challenger.mean, challenger.cuped.mean, "the level shown is what the units did");
});

t.test("a ratio of sums includes its denominator's noise; without a denominator there is a reason", async (t) => {
	const spec = { type: "ratio", perUnit: "sum", denominator: "requests" } as const;
	const [challenger, baseline] = [units(4_000, 1, 3), units(4_000, 0, 4)];
	const relative = measured(ask(spec, RELATIVE), challenger.ratio, baseline.ratio);
	t.ok(Math.abs((relative.improvement ?? 0) - 0.05) < 0.02, `${relative.improvement}`);
	t.ok(relative.lower < 0.05 && relative.upper > 0.05);
	t.ok(Math.abs(relative.baseline.mean - 20) < 0.3, "ΣS ÷ ΣN, not the mean of sums");
	const { n, mean, m2 } = challenger.ratio;
	t.match(compare(ask(spec), { n, mean, m2 }, baseline.ratio), { note: "the evidence has no denominators" });
	const none = coMomentsOf(
		2,
		Array.from({ length: 600 }, (_, i) => [i % 3, 0]),
	);
	t.match(compare(ask(spec), { ...momentsAt(none, 0), co: none }, baseline.ratio), {
		note: /denominator of the ratio is 0/,
	});
});

t.test("an impossible comparison has a reason and no number", async (t) => {
	const good = rate(4_000, 0.5);
	for (const [what, bad] of Object.entries({
		NaN: { n: 4_000, mean: Number.NaN, m2: 1 },
		infinity: { n: 4_000, mean: Number.POSITIVE_INFINITY, m2: 1 },
		"negative count": { n: -1, mean: 0.5, m2: 1 },
		"half a unit": { n: 10.5, mean: 0.5, m2: 1 },
		"negative spread": { n: 4_000, mean: 0.5, m2: -1 },
		"infinite spread": { n: 4_000, mean: 0.5, m2: Number.POSITIVE_INFINITY },
	}))
		for (const spec of [{ type: "rate" }, { type: "mean" }] as const)
			for (const result of [compare(ask(spec), bad, good), compare(ask(spec), good, bad)])
				t.ok("note" in result && result.note !== "", `${what} of a ${spec.type}`);
	const few = { n: ASYMPCS_MIN_UNITS - 1, mean: 1, m2: 5 };
	t.match(compare(ask({ type: "mean" }), few, good), { note: /a mean needs \d+ units per arm, there are \d+/ });
	t.match(compare(ask({ type: "mean" }), { n: 4_000, mean: 1, m2: 0 }, good), {
		note: /zero variance in the challenger/,
	});
	const cancels = { n: 4_000, mean: 0.001, m2: 4_000 };
	t.match(compare(ask({ type: "mean" }, RELATIVE), good, cancels), { note: /not clearly different from 0/ });
});

t.test("the log e-value reaches ln(1/alpha) exactly if the bound passes the line", async (t) => {
	for (const spec of [{ type: "rate" }, { type: "mean" }] as const)
		for (const effect of [ABSOLUTE, RELATIVE])
			for (let mean = 0.5; mean < 0.75; mean += 0.01) {
				const { lower, logE } = measured(ask(spec, effect), rate(4_000, mean), rate(4_000, 0.5));
				t.equal(
					lower > effect.value,
					logE >= Math.log(20),
					`${spec.type} ${effect.kind} at ${mean}: ${lower}, ${logE}`,
				);
			}
});

/** Values with this mean that differ from it by at most `spread`, in the store's form. */
function stars(n: number, mean: number, spread: number, range: { readonly lo: number; readonly hi: number }) {
	const values = Array.from({ length: n }, (_, index) => mean + spread * (2 * ((index + 0.5) / n) - 1));
	const moments = momentsAt(
		coMomentsOf(
			1,
			values.map((value) => [value]),
		),
		0,
	);
	return { ...moments, capital: logCapitalOf(values.map((value) => (value - range.lo) / (range.hi - range.lo))) };
}

const without = ({ n, mean, m2 }: MetricEvidence): MetricEvidence => ({ n, mean, m2 });

t.test("bounds and proof of a mean with log-capital use one e-value for all forms of a claim", async (t) => {
	for (const range of [
		{ lo: 1, hi: 5 },
		{ lo: 0, hi: 5 },
		{ lo: -2, hi: 5 },
	])
		for (const direction of ["up", "down"] as const)
			for (const kind of ["absolute", "relative"] as const)
				for (const role of ["goal", "guardrail"] as const) {
					if (kind === "relative" && range.lo < 0) continue;
					const name = JSON.stringify([range, direction, kind, role]);
					const [a, b] = [stars(900, 4, 0.5, range), stars(700, 3.9, 0.6, range)];
					const spec = { type: "mean", range, direction } as const;
					const at = (value: number, alpha = 0.05): Question => ({
						...ask(spec, { kind, value: role === "goal" ? value : -value }, role),
						alpha,
						harmAlpha: 0.01,
					});
					const result = measured(at(0), a, b);
					const { lower, upper, improvement } = result;
					t.equal(methodOf(at(0), [a, b]), "betting");
					t.ok(lower < Number(improvement) && Number(improvement) < upper, name);
					// The lower bound is where the e-value reaches 1/alpha.
					const bar = Math.log(20);
					t.ok(measured(at(lower), a, b).logE >= bar - 1e-9, `${name}: proved at the bound`);
					t.ok(measured(at(lower + 1e-7), a, b).logE < bar, `${name}: not beyond`);
					// And the upper one that of the mirrored claim, at the level of harm.
					const mirrored = {
						...ask({ ...spec, direction: direction === "up" ? "down" : "up" }, at(0).effect, role),
						alpha: 0.01,
					};
					const other = measured(mirrored, a, b);
					t.ok(Math.abs(0 - other.lower - upper) < 1e-8, `${name}: ${other.lower} ${upper}`);
					// Without log-capital the mixture is used, which is much weaker for such a low variance.
					const mixture = measured(at(0), without(a), without(b));
					t.equal(methodOf(at(0), [without(a), b]), "bernoulli-mixture");
					t.ok(mixture.lower < lower - 0.03 / (kind === "relative" ? 4 : 1), `${name}: ${mixture.lower} ${lower}`);
					t.ok(mixture.upper > upper + 0.03 / (kind === "relative" ? 4 : 1), `${name}: ${mixture.upper} ${upper}`);
					t.ok(Number(result.standardError) > 0);
				}
});

t.test("values outside the range, or impossible sums, are a reason", async (t) => {
	const range = { lo: 1, hi: 5 };
	const question = ask({ type: "mean", range });
	const good = stars(50, 3, 1, range);
	t.match(compare(question, { ...good, n: 52 }, good), { note: "values of 2 units are outside [1, 5]" });
	t.match(compare(question, good, { ...good, capital: { ...good.capital, bets: "other" } }), {
		note: /of the bets other/,
	});
	t.equal(measured(question, stars(50, 3, 0, range), stars(50, 3, 0, range)).standardError, null);
});

/** 4,000 units of value 0 or 1, and how far the values reach. */
const reaching = (mean: number, lo: number, hi: number): MetricEvidence => ({
	...rate(4_000, mean),
	extremes: [{ lo, hi }],
});

t.test("a mean is unknown if one unit outweighs the others", async (t) => {
	// SE = √((0.25 + 0.24)/4000) = 0.01107; a unit at distance d moves the difference by d/4000, so 0.2 SE are d = 8.85.
	const near = measured(ask({ type: "mean" }), reaching(0.5, 0, 9.3), reaching(0.4, 0, 1));
	t.same(near, measured(ask({ type: "mean" }), rate(4_000, 0.5), rate(4_000, 0.4)), "other numbers stay the same");
	const far = reaching(0.5, 0, 9.4);
	for (const [a, b] of [
		[far, reaching(0.4, 0, 1)],
		[reaching(0.4, 0, 1), far],
		[reaching(0.5, -9, 1), reaching(0.4, 0, 1)],
	] as const)
		t.match(compare(ask({ type: "mean" }), a, b), {
			note: /tails too heavy for a result: one unit .* a range or a cap/,
		});
	for (const extremes of [[], [{ lo: 0.6, hi: 1 }], [{ lo: Number.NaN, hi: 1 }], [{ lo: 0.3, hi: 0.6 }]])
		t.match(compare(ask({ type: "mean" }), { ...rate(4_000, 0.5), extremes }, reaching(0.4, 0, 1)), {
			note: /least and greatest values are none/,
		});
	const ranged = ask({ type: "mean", range: { lo: 0, hi: 50 } });
	t.ok(isMeasured(compare(ranged, far, reaching(0.4, 0, 1))), "a range is exact, whatever the tails");
});

t.test("heavy tails of ratios and covariates are judged along the gradient", async (t) => {
	const rows = Array.from({ length: 5_000 }, (_, i) => [i % 5, 1 + (i % 3)]);
	const co = coMomentsOf(2, rows);
	const arm = (first: number, second: number): MetricEvidence => ({
		...{ ...momentsAt(co, 0), co },
		extremes: [
			{ lo: 0, hi: first },
			{ lo: 1, hi: second },
		],
	});
	const isKnown = (spec: Partial<Metric["spec"]>, t: MetricEvidence): boolean =>
		isMeasured(compare(ask(spec), t, arm(4, 3)));
	const ratio = { type: "ratio", perUnit: "sum", denominator: "requests" } as const;
	for (const spec of [ratio, { type: "mean", covariateMs: 1_000 }] as const) t.ok(isKnown(spec, arm(4, 3)), spec.type);
	t.notOk(isKnown(ratio, arm(60, 3)));
	t.notOk(isKnown(ratio, arm(4, 60)), "a unit with very many requests outweighs the others too");
	t.notOk(isKnown({ type: "mean", covariateMs: 1_000 }, arm(60, 3)));
});

t.test("the log e-value of a mean may be negative", async (t) => {
	const at = (mean: number): number => measured(ask({ type: "mean" }), rate(4_000, mean), rate(4_000, 0.5)).logE;
	t.equal(at(0.55), -LOG_E_MAX, "on the null's side");
	t.ok(at(0.601) < -1 && at(0.601) > -20, `${at(0.601)}`);
	t.ok(at(0.7) > Math.log(20));
});

t.test("the tails of a mean are judged at the lower of alpha and harm's alpha", async (t) => {
	const at = (alpha: number, harmAlpha: number) => {
		const n = 4_000;
		const arm = (mean: number): MetricEvidence => ({ n, mean, m2: n, extremes: [{ lo: mean - 4, hi: mean + 14 }] });
		return compare({ ...ask({ type: "mean" }), alpha, harmAlpha }, arm(5.5), arm(5));
	};
	// 14 of 4,000 is 0.157 standard errors of the difference: sound at 5 %, not at 0.05 %.
	t.ok(isMeasured(at(0.05, 0.05)));
	for (const [alpha, harmAlpha] of [
		[0.05, 0.0005],
		[0.0005, 0.05],
	] as const)
		t.match(at(alpha, harmAlpha), { note: /tails too heavy for a result: one unit moves the result by 0.157 / });
});

t.test("a baseline with hardly any event gives one bound only, and the interval contains the estimate", async (t) => {
	const question = ask(
		{ type: "rate", source: "errors", direction: "down" },
		{ kind: "relative", value: 0.5 },
		"guardrail",
	);
	const [bad, good] = [rate(20_000, 0.3), rate(20_000, 0.0001)];
	const worse = measured(question, bad, good);
	t.equal(worse.lower, Number.NEGATIVE_INFINITY);
	t.ok(Math.abs((worse.improvement ?? 0) + 2_999) < 1e-6);
	t.ok(worse.upper < -500 && worse.upper > -900, `${worse.upper}`);
	const more = measured(ask({ type: "rate" }, RELATIVE), bad, good);
	t.equal(more.upper, Number.POSITIVE_INFINITY);
	t.ok(more.lower > 500 && more.lower < 2_999);
});

t.test("means whose fourth powers overflow give a reason, and no NaN bound", async (t) => {
	const huge = (mean: number): MetricEvidence => ({ n: 4_000, mean: mean * 1e77, m2: 4_000 * 1e154 });
	const found = compare(ask({ type: "mean" }, RELATIVE), huge(5), huge(4));
	t.match(found, { note: "values too large for double precision" });
});
