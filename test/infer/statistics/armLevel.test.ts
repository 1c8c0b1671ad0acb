/** The level of one arm agrees with mpmath (test/fixtures/statistics/levels.py), and its bounds cover in simulations. */
import { readFileSync } from "node:fs";
import t from "tap";
import { armLevel, quantileSide } from "../../../src/infer/statistics/armLevel.js";
import { isNoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import { halfWidth, rho } from "../../../src/infer/statistics/sequential/asympCs.js";
import { type BetaPrior, PRIOR_RATE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { meanBounds } from "../../../src/infer/statistics/sequential/betting.js";
import { shareBounds } from "../../../src/infer/statistics/sequential/shareBounds.js";
import { logCapitalOf } from "../../../src/infer/statistics/statistics/logCapital.js";
import { metric } from "../../decide/rollout/example.js";
import { random } from "./random.js";

const golden = JSON.parse(readFileSync("test/fixtures/statistics/levels.json", "utf8")) as {
	readonly shares: readonly {
		readonly n: number;
		readonly sum: number;
		readonly prior: BetaPrior;
		readonly alpha: number;
		readonly lower: number;
		readonly upper: number;
	}[];
	readonly sides: readonly {
		readonly n: number;
		readonly slow: number;
		readonly q: number;
		readonly alpha: number;
		readonly side: "below" | "above" | null;
	}[];
};

t.test("the bounds of a share agree with mpmath, also for no events or only events", async (t) => {
	for (const { n, sum, prior, alpha, lower, upper } of golden.shares) {
		const found = shareBounds({ n, sum }, alpha, prior);
		const good = Math.abs(found.lower - lower) < 2e-11 && Math.abs(found.upper - upper) < 2e-11;
		if (!good) t.fail(`${n} ${sum} ${alpha}: ${JSON.stringify(found)}, truth ${lower} ${upper}`);
	}
	t.equal(golden.shares.length, 44);
});

t.test("the side of a quantile agrees with the one-sided mixture", async (t) => {
	for (const { n, slow, q, alpha, side } of golden.sides)
		t.equal(quantileSide(q, { n, mean: slow / n, m2: 0 }, alpha), side, `${slow} of ${n} slow at ${q}`);
	t.ok(golden.sides.some(({ side }) => side === "below") && golden.sides.some(({ side }) => side === "above"));
	t.equal(quantileSide(0.99, { n: 0, mean: 0, m2: 0 }, 0.025), null);
});

t.test("an arm's bounds, checked after every unit, miss the truth in at most alpha of the runs", async (t) => {
	const [runs, truth] = [300, 0.02];
	let missed = 0;
	for (let seed = 1; seed <= runs; seed++) {
		const next = random(seed);
		let sum = 0;
		for (let n = 1; n <= 600; n++) {
			sum += next() < truth ? 1 : 0;
			if (n % 10 > 0) continue;
			const { lower, upper } = shareBounds({ n, sum }, 0.05, PRIOR_RATE);
			if (truth >= lower && truth <= upper) continue;
			missed++;
			break;
		}
	}
	// 99 % of such suites see at most 24 of 300 at a true 5 %.
	t.ok(missed <= 24, `${missed} of ${runs}`);
});

t.test("a mean has bounds after a minimum of units; a declared range has exact ones from the first", async (t) => {
	const revenue = metric("revenue", { type: "mean" });
	const arm = (n: number) => ({ n, mean: 3, m2: 4 * (n - 1) });
	t.match(armLevel(revenue, arm(1_999), 0.05), { level: 3, lower: null, note: /needs 2000 units/ });
	const found = armLevel(revenue, arm(2_000), 0.05);
	const width = halfWidth(2, 2_000, 0.05, rho(0.05, 5_000));
	t.ok(Math.abs((found.upper ?? 0) - 3 - width) < 1e-12 && Math.abs(3 - (found.lower ?? 0) - width) < 1e-12);
	const score = metric("score", { type: "mean", range: { lo: 1, hi: 5 } });
	const bounds = shareBounds({ n: 50, sum: 25 }, 0.05, PRIOR_RATE);
	t.match(armLevel(score, { n: 50, mean: 3, m2: 10 }, 0.05), {
		lower: 1 + 4 * bounds.lower,
		upper: 1 + 4 * bounds.upper,
		note: "",
	});
	// With log-capital the values' own spread counts: these are all near 3.
	const near = Array.from({ length: 50 }, (_, index) => 0.45 + (index % 11) / 100);
	const [sum, capital] = [near.reduce((all, value) => all + value, 0), logCapitalOf(near)];
	const own = { n: 50, mean: 1 + (4 * sum) / 50, m2: 1, capital };
	const narrow = armLevel(score, own, 0.05);
	const betting = meanBounds(capital, 0.025);
	if (isNoEstimate(betting)) throw new Error(betting.reason);
	t.match(narrow, { lower: 1 + 4 * betting.lower, upper: 1 + 4 * betting.upper, note: "" });
	t.ok((narrow.upper ?? 9) - (narrow.lower ?? 0) < 2 * (bounds.upper - bounds.lower), "half as wide as the mixture's");
	t.match(armLevel(score, { ...own, n: 52 }, 0.05), { lower: null, note: /values of 2 units are outside/ });
	t.match(armLevel(score, { n: 50, mean: 6, m2: 10 }, 0.05), { lower: null, note: /outside \[1, 5\]/ });
	t.match(armLevel(score, { n: 0, mean: 0, m2: 0 }, 0.05), { level: null, note: "no data" });
	t.match(armLevel(score, { n: 9, mean: Number.NaN, m2: 0 }, 0.05), { level: null, note: /NaN/ });
});
