/** Detection of a moved baseline behind frozen thresholds: its limits, false alarms and cost. */
import t from "tap";
import {
	baselineMoved,
	eraShare,
	mayHarm,
	passIsNear,
	type Reference,
	unmovedShares,
} from "../../../src/infer/statistics/frozenReference.js";
import { slowShareAt } from "../../../src/infer/statistics/slowShare.js";
import { rate } from "../../decide/rollout/example.js";
import { random } from "./random.js";

/** A threshold that was frozen without a grid. */
const P99: Reference = { quantile: 0.99, referenceMs: 20, era: 1, grid: false };
const ASKED = { tolerance: 0.0025, shares: { challenger: 1, baseline: 1 } };

/** The least number of units per arm at which `holds` is true. */
function unitsUntil(holds: (n: number) => boolean): number {
	let n = 10;
	while (!holds(n) && n < 1e6) n = Math.ceil(1.05 * n);
	return n;
}

t.test("all eras together have at most one level", async (t) => {
	t.same([1, 2, 3, 4].map(eraShare), [3 / 4, 1 / 8, 1 / 24, 1 / 48]);
	let spent = 0;
	for (let era = 1; era <= 100_000; era++) spent += eraShare(era);
	t.ok(spent < 1 && spent > 0.99999, `${spent}`);
});

t.test("the band around a frozen quantile stays within 0 and 1", async (t) => {
	t.equal(slowShareAt(0.5, 4), 0.8);
	t.ok(Math.abs(slowShareAt(0.5, 1 / 4) - 0.2) < 1e-15);
	for (const quantile of [0.5, 0.9, 0.99, 0.999]) {
		const { from, to } = unmovedShares(quantile);
		const order = [0, slowShareAt(quantile, 1 / 4), from, 1 - quantile, to, slowShareAt(quantile, 4), 1];
		t.same(
			[...order].sort((a, b) => a - b),
			order,
			`moved lies inside what a pass allows: ${quantile}`,
		);
	}
});

t.test("a moved baseline is detected soon, an unmoved one never", async (t) => {
	const moved = (share: number) => unitsUntil((n) => baselineMoved(P99, rate(n, share)) !== null);
	t.equal(baselineMoved(P99, rate(400, 0.1)), "slower");
	t.equal(baselineMoved(P99, rate(4_000, 0)), "faster");
	t.ok(moved(0.5) < 20 && moved(0.1) < 200 && moved(0.05) < 2_000 && moved(0) < 2_000);
	for (const share of [0.0034, 0.01, 0.029])
		t.equal(moved(share) >= 1e6, true, `${share} is still where it was, however many units`);
});

t.test("a baseline at the edge of the band is reported as moved in at most half a percent", async (t) => {
	const RUNS = 1_000;
	const next = random(7);
	for (const [share, quantile] of [
		[unmovedShares(0.9).to, 0.9],
		[unmovedShares(0.9).from, 0.9],
	] as const) {
		let wrong = 0;
		for (let run = 0; run < RUNS; run++) {
			let slow = 0;
			for (let n = 1; n <= 1_000; n++) {
				slow += next() < share ? 1 : 0;
				if (n % 20 !== 0 || baselineMoved({ ...P99, quantile }, rate(n, slow / n)) === null) continue;
				wrong++;
				break;
			}
		}
		t.comment(`${wrong} of ${RUNS} at ${share}`);
		// 99 % upper limit of Binomial(1000, 0.005) is 11.
		t.ok(wrong <= 11);
	}
});

t.test("a pass of a p99 needs a few thousand units near the quantile, and is impossible far from it", async (t) => {
	const pass = (slow: number, share: number) =>
		unitsUntil((n) => passIsNear(P99, ASKED, rate(n, slow), rate(n, share), 0.0375));
	t.ok(pass(0.01, 0.01) < 1_200, "both where they were");
	t.ok(pass(0.01, 0.9) < 1_200, "a baseline that slows down takes nothing from a challenger that does not");
	t.equal(pass(0.001, 0.002) >= 1e6, true, "a baseline that has become fast makes the old threshold useless");
	t.equal(pass(0.05, 0.9) >= 1e6, true, "no challenger hides behind a slow baseline");
});

t.test("harm of a quantile needs a challenger's share that is not tiny", async (t) => {
	t.ok(mayHarm(P99, ASKED, rate(40, 0.5), rate(40, 0), 0.0125));
	t.notOk(mayHarm(P99, ASKED, rate(1e6, 0.002), rate(1e6, 0.0001), 0.0125), "ten times the baseline's, at the p99.9");
	t.ok(mayHarm(P99, ASKED, rate(100, 0.5), rate(100, 0.05), 0.0125), "gross harm is found at once");
	t.notOk(mayHarm(P99, ASKED, rate(30, 0.5), rate(30, 0.08), 0.0125));
});
