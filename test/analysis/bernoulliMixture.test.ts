import t from "tap";
import {
	anytimePValue,
	differenceBounds,
	logEvidence,
	logEvidenceBelow,
	logMartingale,
	PRIOR_RARE,
	PRIOR_RATE,
	ratioBounds,
	type Sample,
} from "../../src/analysis/bernoulliMixture.js";
import { random } from "./random.js";

const DIFFERENCE = { slope: 1, offset: 0 };

t.test(
	"the expected value of one step is at most 1 for any value distribution on [0,1] with the claimed mean",
	async (t) => {
		// One unit with value 0, 0.5 or 1: exact expectation of M_1(p) over distributions with mean p.
		for (const p of [0.1, 0.5, 0.83])
			for (const half of [0, p / 2, Math.min(2 * p, 2 * (1 - p))]) {
				const one = p - half / 2;
				const zero = 1 - half - one;
				const m = (sum: number): number => Math.exp(logMartingale({ n: 1, sum }, p, PRIOR_RATE));
				t.ok(zero * m(0) + half * m(0.5) + one * m(1) <= 1 + 1e-12, `p ${p}, half ${half}`);
			}
	},
);

t.test("no evidence where the data lie in the null, more the further they lie outside", async (t) => {
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

t.test("the minimum over the null is on its boundary, found to 1e-9 against a fine grid", async (t) => {
	const arm: Sample = { n: 400, sum: 120.5 };
	const c: Sample = { n: 700, sum: 150.25 };
	const found = logEvidence("above", arm, c, { slope: 1, offset: 0.01 }, PRIOR_RATE);
	const ll = ({ n, sum }: Sample, p: number): number => sum * Math.log(p) + (n - sum) * Math.log1p(-p);
	const mle = ll(arm, arm.sum / arm.n) + ll(c, c.sum / c.n);
	let top = Number.NEGATIVE_INFINITY;
	for (let p = 0.1; p < 0.5; p += 1e-5) top = Math.max(top, ll(arm, p + 0.01) + ll(c, p));
	const free = logEvidence("above", arm, c, { slope: 1, offset: 0.5 }, PRIOR_RATE);
	t.ok(Math.abs(found - free - (mle - top)) < 1e-6);
});

t.test("bounds contain the estimate, shrink with n, and are where the evidence reaches 1/alpha", async (t) => {
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

t.test("zero errors exclude 0.5 pp within 1,200 per arm and 0.2 pp within 3,200, at alpha 1/60", async (t) => {
	const proved = (n: number, margin: number): boolean =>
		differenceBounds({ n, sum: 0 }, { n, sum: 0 }, 1 / 60, PRIOR_RARE).upper < margin;
	t.ok(proved(1_200, 0.005));
	t.notOk(proved(700, 0.005));
	t.ok(proved(3_200, 0.002));
});

t.test("edges: no units, all or none, lines outside the square, sums an ulp too large", async (t) => {
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

t.test(
	"people who send 1 to 3 requests: per request the A/A false alarms are far above alpha, per unit they are not",
	async (t) => {
		// One arm against its known mean, the form that leaves no slack: alpha 5 %, 60 looks.
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
	},
);

t.test("A/A exactly at the margin, 400 runs of 50 looks: harm is proclaimed in no more than alpha", async (t) => {
	let alarms = 0;
	for (let run = 0; run < 400; run++) {
		const next = random(run);
		let arm: Sample = { n: 0, sum: 0 };
		let c: Sample = { n: 0, sum: 0 };
		for (let look = 0; look < 50; look++) {
			for (let unit = 0; unit < 40; unit++) {
				// Shares of thirds, mean 4.5 % and 4 %: the challenger stands on its margin of 0.5 pp.
				arm = plus(arm, { n: 1, sum: next() < 0.09 ? 0.5 : 0 });
				c = plus(c, { n: 1, sum: next() < 0.08 ? 0.5 : 0 });
			}
			if (logEvidence("above", arm, c, { slope: 1, offset: 0.005 }, PRIOR_RARE) >= Math.log(20)) {
				alarms += 1;
				break;
			}
		}
	}
	t.comment(`false alarms of 400: ${alarms}`);
	// 99 % upper limit of Binomial(400, 0.05) is 31.
	t.ok(alarms <= 31, `${alarms}`);
});
