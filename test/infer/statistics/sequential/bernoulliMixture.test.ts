import t from "tap";
import { differenceBounds, ratioBounds } from "../../../../src/infer/statistics/sequential/bernoulliBounds.js";
import {
	type ArmShares,
	type BetaPrior,
	type Contrast,
	logEvidence,
	logEvidenceAbove,
	logEvidenceBelow,
	logMartingale,
	PRIOR_RARE,
	PRIOR_RATE,
	type Sample,
	type Side,
} from "../../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { anytimePValue } from "../formulas.js";
import { random } from "../random.js";

const DIFFERENCE = { slope: 1, offset: 0 };

t.test("a Bernoulli mixture step has expected value at most 1 for any distribution on the null", async (t) => {
	// One unit with value 0, 0.5 or 1: exact expectation of M_1(p) over distributions with mean p.
	for (const p of [0.1, 0.5, 0.83])
		for (const half of [0, p / 2, Math.min(2 * p, 2 * (1 - p))]) {
			const one = p - half / 2;
			const zero = 1 - half - one;
			const m = (sum: number): number => Math.exp(logMartingale({ n: 1, sum }, p, PRIOR_RATE));
			t.ok(zero * m(0) + half * m(0.5) + one * m(1) <= 1 + 1e-12, `p ${p}, half ${half}`);
		}
});

t.test("Bernoulli evidence grows with the distance from the null, and is absent inside it", async (t) => {
	const c: Sample = { n: 1000, sum: 300 };
	t.ok(logEvidence("above", { n: 1000, sum: 290 }, c, DIFFERENCE, PRIOR_RATE) <= 0);
	const evidence = [330, 360, 400, 500].map((sum) => logEvidence("above", { n: 1000, sum }, c, DIFFERENCE, PRIOR_RATE));
	t.same(
		evidence,
		[...evidence].sort((x, y) => x - y),
	);
	t.ok((evidence[3] ?? 0) > 20);
	t.equal(anytimePValue(-3), 1);
	t.equal(anytimePValue(Math.log(20)), 0.05);
});

t.test("Bernoulli bounds contain the estimate, shrink with n, and have evidence 1/alpha", async (t) => {
	for (const n of [100, 1_000, 10_000]) {
		const arm = { n, sum: 0.83 * n };
		const c = { n, sum: 0.78 * n };
		const { lower, upper } = differenceBounds(arm, c, 0.05, PRIOR_RATE);
		t.ok(lower < 0.05 && 0.05 < upper);
		t.ok(Math.abs(logEvidence("above", arm, c, { slope: 1, offset: lower }, PRIOR_RATE) - Math.log(20)) < 1e-6);
		t.ok(Math.abs(logEvidence("below", arm, c, { slope: 1, offset: upper }, PRIOR_RATE) - Math.log(20)) < 1e-6);
		const ratio = ratioBounds(arm, c, 0.05, PRIOR_RATE);
		t.ok(ratio.lower < 0.83 / 0.78 && 0.83 / 0.78 < ratio.upper);
		t.ok(Math.abs(logEvidence("above", arm, c, { slope: ratio.lower, offset: 0 }, PRIOR_RATE) - Math.log(20)) < 1e-6);
	}
	const small = differenceBounds({ n: 100, sum: 83 }, { n: 100, sum: 78 }, 0.05, PRIOR_RATE);
	const large = differenceBounds({ n: 10_000, sum: 8_300 }, { n: 10_000, sum: 7_800 }, 0.05, PRIOR_RATE);
	t.ok(large.upper - large.lower < (small.upper - small.lower) / 5);
	t.ok(large.lower > 0.005, "78 % against 83 % is proved above 0.5 pp within 10,000 per arm");
});

/** Units per arm until the claim is proved, on data exactly in proportion to the means. */
function unitsToProve(
	side: Side,
	[pt, pc]: readonly [number, number],
	line: number,
	prior: BetaPrior,
	shares: ArmShares = { challenger: 1, baseline: 1 },
): number {
	const proved = (n: number): boolean => {
		const arm = (share: number, p: number): Sample => ({ n: n * share, sum: n * share * p });
		const t = arm(shares.challenger, pt);
		return logEvidence(side, t, arm(shares.baseline, pc), { slope: 1, offset: line }, prior, shares) >= Math.log(60);
	};
	let high = 2;
	while (!proved(high)) high *= 2;
	let low = high / 2;
	while (high - low > 1) {
		const middle = Math.floor((low + high) / 2);
		if (proved(middle)) high = middle;
		else low = middle;
	}
	return high;
}

t.test("the Bernoulli mixture proves a claim at alpha 1/60 within the documented units", async (t) => {
	for (const [what, side, means, line, prior, most] of [
		["78 % → 83 % is above +0.5 pp", "above", [0.83, 0.78], 0.005, PRIOR_RATE, 2_034],
		["78 % → 83 % is above 0", "above", [0.83, 0.78], 0, PRIOR_RATE, 1_640],
		["78 % → 80 % is above 0", "above", [0.8, 0.78], 0, PRIOR_RATE, 11_377],
		["5 % → 6 % is above 0", "above", [0.06, 0.05], 0, PRIOR_RATE, 13_984],
		["78 % → 53 % is below 0", "below", [0.53, 0.78], 0, PRIOR_RATE, 92],
		["no error in either is below +0.5 pp", "below", [0, 0], 0.005, PRIOR_RARE, 1_106],
		["no error in either is below +0.2 pp", "below", [0, 0], 0.002, PRIOR_RARE, 2_783],
		["0.1 % in either is below +0.5 pp", "below", [0.001, 0.001], 0.005, PRIOR_RARE, 1_968],
		["0.1 % in either is below +1 pp", "below", [0.001, 0.001], 0.01, PRIOR_RARE, 773],
		["0.1 % → 5 % is above +1 pp", "above", [0.05, 0.001], 0.01, PRIOR_RARE, 261],
		["0 → 10 % is above +0.5 pp", "above", [0.1, 0], 0.005, PRIOR_RARE, 86],
	] as const) {
		const units = unitsToProve(side, means, line, prior);
		t.comment(`${what}: ${units}`);
		t.ok(units <= most, `${what}: ${units} of at most ${most}`);
	}
	const proved = differenceBounds({ n: 1_106, sum: 0 }, { n: 1_106, sum: 0 }, 1 / 60, PRIOR_RARE).upper;
	t.ok(proved < 0.005, "the bound agrees with the evidence");
});

t.test("with a 1 to 9 allocation the declared shares halve the smaller arm's units", async (t) => {
	const shares = { challenger: 1, baseline: 9 };
	const declared = unitsToProve("above", [0.83, 0.78], 0.005, PRIOR_RATE, shares);
	t.comment(`challenger's units: ${declared}`);
	t.ok(declared <= 1_134, `${declared}`);
	const arm = { n: declared, sum: 0.83 * declared };
	const c = { n: 9 * declared, sum: 0.78 * 9 * declared };
	t.ok(logEvidence("above", arm, c, { slope: 1, offset: 0.005 }, PRIOR_RATE) < Math.log(60) - 1, "undeclared: not yet");
	t.ok(differenceBounds(arm, c, 1 / 60, PRIOR_RATE, shares).lower >= 0.005);
});

t.test("Bernoulli evidence decreases as the line moves, so each bound is unique", async (t) => {
	const next = random(9);
	let rises = 0;
	let crossings = 0;
	let steps = 0;
	for (let run = 0; run < 150; run++) {
		const sample = (): Sample => {
			const n = Math.ceil(5 * 4_000 ** next());
			const kind = next();
			const p = kind < 0.3 ? 0 : kind < 0.6 ? next() * 0.02 : kind < 0.7 ? 1 : next();
			return { n, sum: n * p };
		};
		const arm = sample();
		const c = sample();
		const prior = next() < 0.5 ? PRIOR_RARE : PRIOR_RATE;
		const bar = Math.log(60);
		const { lower, upper } = differenceBounds(arm, c, 1 / 60, prior);
		const ratio = ratioBounds(arm, c, 1 / 60, prior);
		const gap = Math.max(1e-3, arm.sum / arm.n - c.sum / c.n - lower);
		const slack = Math.max(1e-3, upper - arm.sum / arm.n + c.sum / c.n);
		const lines: { side: Side; at: (k: number) => Contrast; bound: number; from: number; to: number }[] = [
			{ side: "above", at: (d) => ({ slope: 1, offset: d }), bound: lower, from: lower - 4 * gap, to: lower + gap },
			{
				side: "below",
				at: (d) => ({ slope: 1, offset: -d }),
				bound: -upper,
				from: -upper - 4 * slack,
				to: -upper + slack,
			},
			{
				side: "above",
				at: (k) => ({ slope: k, offset: 0 }),
				bound: ratio.lower,
				from: 0,
				to: Math.min(900, 2 * ratio.lower),
			},
		];
		for (const { side, at, bound, from, to } of lines) {
			let before = Number.POSITIVE_INFINITY;
			for (let index = 0; index <= 40; index++) {
				const x = from + ((to - from) * index) / 40;
				if (Math.abs(x) > 900 || (side === "above" && at(x).slope !== 1 ? x < 0 : false)) continue;
				const value = logEvidence(side, arm, c, at(x), prior);
				steps += 1;
				// Below 2 to 1, where no level is, the infimum has been seen to rise by hundredths in arms of 7 units.
				if (value > before + 1e-7 * Math.max(1, Math.abs(before)) && value > Math.LN2) rises += 1;
				if (x < bound - 1e-9 ? value < bar - 1e-6 : x > bound + 1e-9 && value >= bar + 1e-6) crossings += 1;
				before = value;
			}
		}
	}
	t.comment(`${steps} lines of 450 rows: ${rises} rises, ${crossings} on the wrong side of the bound`);
	t.ok(steps > 10_000);
	t.equal(rises, 0);
	t.equal(crossings, 0);
});

t.test("the Bernoulli mixture handles no units, extreme counts, invalid lines and rounding", async (t) => {
	const none = { n: 0, sum: 0 };
	t.same(differenceBounds(none, none, 0.05, PRIOR_RATE), { lower: -1, upper: 1 });
	const oneSided = differenceBounds({ n: 1000, sum: 0 }, none, 0.05, PRIOR_RATE);
	t.ok(oneSided.lower <= -0.99 && oneSided.upper < 0.05);
	t.ok(logEvidence("above", { n: 500, sum: 500 }, { n: 500, sum: 0 }, DIFFERENCE, PRIOR_RATE) > 100);
	t.ok(logEvidence("above", { n: 500, sum: 0 }, { n: 500, sum: 500 }, DIFFERENCE, PRIOR_RATE) < 0);
	t.equal(
		logEvidence("above", { n: 5, sum: 1 }, { n: 5, sum: 1 }, { slope: 1, offset: -1.5 }, PRIOR_RATE),
		Infinity,
		"always true",
	);
	t.ok(
		logEvidence("above", { n: 5, sum: 5 }, { n: 5, sum: 0 }, { slope: 1, offset: 1.5 }, PRIOR_RATE) < 0,
		"never true",
	);
	t.equal(logEvidence("above", { n: 5, sum: 1 }, { n: 5, sum: 1 }, { slope: 1, offset: -1 }, PRIOR_RATE), Infinity);
	t.ok(
		Number.isFinite(logEvidence("below", { n: 3, sum: 3.0000000000000004 }, { n: 3, sum: 1 }, DIFFERENCE, PRIOR_RATE)),
	);
	t.equal(
		ratioBounds({ n: 100, sum: 5 }, { n: 100, sum: 0 }, 0.05, PRIOR_RARE).upper,
		1000,
		"a baseline that may be 0",
	);
	t.ok(logEvidenceBelow({ n: 600, sum: 0 }, 0.01, PRIOR_RARE) > Math.log(20));
	t.ok(logEvidenceBelow({ n: 600, sum: 60 }, 0.01, PRIOR_RARE) <= 0);
	t.ok(logEvidenceAbove({ n: 600, sum: 60 }, 0.01, PRIOR_RARE) > Math.log(20));
	t.ok(logEvidenceAbove({ n: 600, sum: 3 }, 0.01, PRIOR_RARE) <= 0);
	for (const [n, sum, p] of [
		[40, 11.5, 0.2],
		[900, 2, 0.001],
		[7, 7, 0.9],
	] as const) {
		const mirrored = logEvidenceBelow({ n, sum: n - sum }, 1 - p, { a: PRIOR_RARE.b, b: PRIOR_RARE.a });
		t.ok(Math.abs(logEvidenceAbove({ n, sum }, p, PRIOR_RARE) - mirrored) < 1e-9, "one is the other's mirror");
	}
});

/** 1 to 3 requests per person; all of a person's requests fail or none, so a share is 0 or 1 and requests are clustered. */
function people(next: () => number, n: number): { readonly units: Sample; readonly requests: Sample } {
	let failed = 0;
	let requests = 0;
	let failedRequests = 0;
	for (let person = 0; person < n; person++) {
		const sent = 1 + Math.floor(next() * 3);
		const bad = next() < 0.2 ? 1 : 0;
		failed += bad;
		requests += sent;
		failedRequests += bad * sent;
	}
	return { units: { n, sum: failed }, requests: { n: requests, sum: failedRequests } };
}

const plus = (x: Sample, y: Sample): Sample => ({ n: x.n + y.n, sum: x.sum + y.sum });

t.test("with 1 to 3 requests per user A/A errors stay below alpha per unit, not per request", async (t) => {
	// One arm against its known mean, the tightest form, at alpha 5 % with 60 looks.
	const runs = 400;
	let perUnit = 0;
	let perRequest = 0;
	for (let run = 0; run < runs; run++) {
		const next = random(1_000 + run);
		let units: Sample = { n: 0, sum: 0 };
		let requests: Sample = { n: 0, sum: 0 };
		let unitAlarm = false;
		let requestAlarm = false;
		for (let look = 0; look < 60; look++) {
			const more = people(next, 50);
			units = plus(units, more.units);
			requests = plus(requests, more.requests);
			unitAlarm ||= logMartingale(units, 0.2, PRIOR_RATE) >= Math.log(20);
			requestAlarm ||= logMartingale(requests, 0.2, PRIOR_RATE) >= Math.log(20);
		}
		perUnit += unitAlarm ? 1 : 0;
		perRequest += requestAlarm ? 1 : 0;
	}
	t.comment(`false alarms of ${runs}: per unit ${perUnit}, per request ${perRequest}`);
	t.ok(perRequest / runs > 0.1, `per request ${perRequest / runs}`);
	t.ok(perUnit / runs <= 0.05, `per unit ${perUnit / runs}`);
});

/** False alarms of 400 runs of 60 looks at alpha 5 % when the truth is a null point; shares of halves where `halves`. */
function falseAlarms(
	side: Side,
	[pt, pc]: readonly [number, number],
	contrast: Contrast,
	prior: BetaPrior,
	perLook: ArmShares,
	halves: boolean,
): number {
	let alarms = 0;
	for (let run = 0; run < 400; run++) {
		const next = random(run + 1);
		const more = (n: number, p: number): Sample => {
			let sum = 0;
			// With halves a value is ½ twice as often as it would be 1 (p up to ½).
			for (let unit = 0; unit < n; unit++) if (next() < (halves ? 2 * p : p)) sum += halves ? 0.5 : 1;
			return { n, sum };
		};
		let arm: Sample = { n: 0, sum: 0 };
		let c: Sample = { n: 0, sum: 0 };
		for (let look = 0; look < 60; look++) {
			arm = plus(arm, more(perLook.challenger, pt));
			c = plus(c, more(perLook.baseline, pc));
			if (logEvidence(side, arm, c, contrast, prior, perLook) >= Math.log(20)) {
				alarms += 1;
				break;
			}
		}
	}
	return alarms;
}

t.test("the Bernoulli mixture at the margin errs in at most alpha of 400 runs with 60 looks", async (t) => {
	const difference = (offset: number): Contrast => ({ slope: 1, offset });
	for (const [what, side, means, contrast, prior, perLook, halves] of [
		["78 %, harm", "below", [0.78, 0.78], difference(0), PRIOR_RATE, { challenger: 30, baseline: 30 }, false],
		["50 %, above +2 pp", "above", [0.52, 0.5], difference(0.02), PRIOR_RATE, { challenger: 30, baseline: 30 }, false],
		["30 %, arms 1 : 4", "above", [0.3, 0.3], difference(0), PRIOR_RATE, { challenger: 10, baseline: 40 }, false],
		[
			"4 % in halves, arms 4 : 1",
			"above",
			[0.045, 0.04],
			difference(0.005),
			PRIOR_RARE,
			{ challenger: 40, baseline: 10 },
			true,
		],
		["0.5 % against 0", "below", [0.005, 0], difference(0.005), PRIOR_RARE, { challenger: 40, baseline: 40 }, false],
		[
			"1.1 % against 0.1 %",
			"below",
			[0.011, 0.001],
			difference(0.01),
			PRIOR_RARE,
			{ challenger: 40, baseline: 40 },
			false,
		],
		["99 %", "above", [0.99, 0.99], difference(0), PRIOR_RATE, { challenger: 30, baseline: 30 }, false],
		[
			"ratio 1.2 of 20 %",
			"above",
			[0.24, 0.2],
			{ slope: 1.2, offset: 0 },
			PRIOR_RATE,
			{ challenger: 30, baseline: 30 },
			false,
		],
	] as const) {
		const alarms = falseAlarms(side, means, contrast, prior, perLook, halves);
		t.comment(`${what}: ${alarms} of 400`);
		// 99.9 % quantile of Binomial(400, 0.05).
		t.ok(alarms <= 35, `${what}: ${alarms}`);
	}
});
