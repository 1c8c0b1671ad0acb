import t from "tap";
import {
	type ErrorBatch,
	logRateEvidence,
	rateRatioBounds,
} from "../../../../src/infer/statistics/sequential/errorCounts.js";
import { random } from "../random.js";

const value = (result: number | { reason: string }): number => {
	if (typeof result !== "number") throw new Error(result.reason);
	return result;
};

t.test("one error's evidence has mean at most 1 under the null, in batches of any share", async (t) => {
	let most = 0;
	for (const share of [0.01, 0.5, 0.9])
		for (const line of [0.5, 1, 1.1])
			for (const ratio of [line, 0.9 * line, 0.1 * line]) {
				const theta = (share * ratio) / (share * ratio + 1 - share);
				const e = (challenger: number): number =>
					Math.exp(value(logRateEvidence("above", [{ challenger, baseline: 1 - challenger, share }], line)));
				most = Math.max(most, theta * e(1) + (1 - theta) * e(0));
				const mirrored = value(logRateEvidence("below", [{ challenger: 0, baseline: 1, share: 1 - share }], 1 / line));
				t.ok(Math.abs(Math.exp(mirrored) - e(1)) < 1e-12, "below is above with the arms exchanged");
			}
	t.ok(most <= 1 + 1e-12 && most > 1 - 1e-9, `${most}`);
});

t.test("error batches with equal shares count as one batch", async (t) => {
	const split: ErrorBatch[] = [
		{ challenger: 12, baseline: 5, share: 0.3 },
		{ challenger: 9, baseline: 11, share: 0.3 },
	];
	const one: ErrorBatch[] = [{ challenger: 21, baseline: 16, share: 0.3 }];
	t.ok(Math.abs(value(logRateEvidence("above", split, 1.1)) - value(logRateEvidence("above", one, 1.1))) < 1e-12);
	const likelihood = (r: number): number => {
		const theta = (0.3 * r) / (0.3 * r + 0.7);
		return theta ** 21 * (1 - theta) ** 16;
	};
	let plain = 0;
	for (let index = 0; index < 18; index++)
		plain += likelihood(1.1 * Math.exp(0.002 * 1.65 ** index)) / likelihood(1.1) / 18;
	t.ok(Math.abs(value(logRateEvidence("above", one, 1.1)) - Math.log(plain)) < 1e-10);
});

t.test("bounds of error counts have evidence 1/alpha, and are unlimited without errors", async (t) => {
	t.same(rateRatioBounds([], 0.05), { lower: 0, upper: 1000 });
	t.equal(value(logRateEvidence("above", [], 1)) <= 1e-12, true);
	const moving: ErrorBatch[] = [
		{ challenger: 3, baseline: 50, share: 0.05 },
		{ challenger: 40, baseline: 62, share: 0.3 },
		{ challenger: 90, baseline: 71, share: 0.5 },
	];
	const bounds = rateRatioBounds(moving, 0.05);
	if ("reason" in bounds) throw new Error(bounds.reason);
	t.ok(bounds.lower > 0.8 && bounds.lower < 1.3 && bounds.upper > 1.4 && bounds.upper < 2.1, JSON.stringify(bounds));
	t.ok(Math.abs(value(logRateEvidence("above", moving, bounds.lower)) - Math.log(20)) < 1e-6);
	t.ok(Math.abs(value(logRateEvidence("below", moving, bounds.upper)) - Math.log(20)) < 1e-6);
	let before = Number.POSITIVE_INFINITY;
	for (let ratio = 0.1; ratio < 10; ratio *= 1.1) {
		const now = value(logRateEvidence("above", moving, ratio));
		t.ok(now <= before + 1e-12);
		before = now;
	}
	const huge = rateRatioBounds([{ challenger: 1e9, baseline: 1e9, share: 0.5 }], 0.01);
	t.ok(
		!("reason" in huge) && huge.lower < 1 && huge.upper > 1 && huge.upper - huge.lower < 0.003,
		JSON.stringify(huge),
	);
	const none = rateRatioBounds([{ challenger: 0, baseline: 40, share: 0.5 }], 0.05);
	t.ok(!("reason" in none) && none.lower === 0 && none.upper < 0.4);
});

t.test("invalid counts give a reason", async (t) => {
	const good: ErrorBatch = { challenger: 1, baseline: 2, share: 0.5 };
	for (const bad of [
		{ ...good, challenger: -1 },
		{ ...good, baseline: Number.NaN },
		{ ...good, challenger: Number.POSITIVE_INFINITY },
		{ ...good, share: 0 },
		{ ...good, share: 1 },
		{ ...good, share: Number.NaN },
	]) {
		t.type(logRateEvidence("above", [good, bad], 1), "object", JSON.stringify(bad));
		t.ok("reason" in rateRatioBounds([good, bad], 0.05));
	}
	for (const ratio of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
		t.type(logRateEvidence("below", [good], ratio), "object");
	t.ok("reason" in rateRatioBounds([good], 0));
});

t.test("error counts at the margin during a ramp err in at most alpha, and harm is found", async (t) => {
	const next = random(17);
	const alpha = 0.1;
	const runs = 400;
	const alarm = (ratio: number): boolean => {
		const batches: ErrorBatch[] = [];
		for (const share of [0.01, 0.05, 0.1, 0.25, 0.5]) {
			const theta = (share * ratio) / (share * ratio + 1 - share);
			let challenger = 0;
			for (let error = 1; error <= 60; error++) {
				if (next() < theta) challenger += 1;
				if (error % 10 > 0) continue;
				const now = [...batches, { challenger, baseline: error - challenger, share }];
				if (value(logRateEvidence("above", now, 1.2)) >= -Math.log(alpha)) return true;
			}
			batches.push({ challenger, baseline: 60 - challenger, share });
		}
		return false;
	};
	const rate = (ratio: number): number => Array.from({ length: runs }, () => alarm(ratio)).filter(Boolean).length;
	const [atMargin, harmful] = [rate(1.2), rate(3)];
	t.comment(`at the margin ${atMargin}, three times the rate ${harmful} of ${runs}`);
	// 59 of 400 lies 3 standard deviations above 10 %.
	t.ok(atMargin <= 59, `${atMargin}`);
	t.ok(harmful >= 350, `${harmful}`);
});
