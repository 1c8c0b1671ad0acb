/** The grid around a frozen quantile gives verdicts about the quantile itself, for any sample of thresholds. */

import t from "tap";
import {
	CENTRE,
	GRID_SIZE,
	type GridSample,
	gridQuantiles,
	logQuantileInside,
	quantileBeyond,
	quantileInside,
} from "../../../src/infer/statistics/quantileGrid.js";
import { logEvidence, PRIOR_RARE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { QUANTILES_ASKED_MAX } from "../../../src/observe/events/evidence/evidenceQuery.js";
import { normal, type Uniform, uniforms } from "../../calibrate/random.js";

const EQUAL = { challenger: 1, baseline: 1 };
const ALPHA = 0.05;

t.test("a quantile's grid is increasing and contains the quantile", async (t) => {
	for (const quantile of [0.5, 0.9, 0.99, 0.9999]) {
		const grid = gridQuantiles(quantile);
		t.equal(grid.length, GRID_SIZE);
		t.ok(GRID_SIZE <= QUANTILES_ASKED_MAX);
		t.equal(grid[CENTRE], quantile);
		t.ok(grid.every((q, index) => q > (grid[index - 1] ?? 0) && q < 1));
	}
});

/** The mean share of a user's requests above each threshold. */
class Slow {
	n = 0;
	readonly #sums: number[];
	constructor(readonly thresholds: readonly number[]) {
		this.#sums = thresholds.map(() => 0);
	}

	person(requests: readonly number[]): void {
		this.n++;
		for (const ms of requests)
			for (let index = 0; index < this.thresholds.length && ms > (this.thresholds[index] ?? Number.NaN); index++)
				this.#sums[index] = (this.#sums[index] ?? 0) + 1 / requests.length;
	}

	sample(): GridSample {
		return { n: this.n, slow: this.#sums.map((sum) => sum / this.n) };
	}
}

interface Edge {
	readonly name: string;
	readonly quantile: number;
	readonly tolerance: number;
	/** Requests of the baseline, and of challengers for which a pass, or harm, is just wrong. A margin only moves thresholds. */
	readonly baseline: (next: Uniform) => number;
	readonly pass: (next: Uniform) => number;
	readonly harm: (next: Uniform) => number;
	/** The load of both arms alike at a time from 0 to 1. */
	readonly load?: (at: number) => number;
	readonly requests?: (next: Uniform) => number;
	readonly shares?: { readonly challenger: number; readonly baseline: number };
}

const usual = (next: Uniform): number => Math.exp(0.5 * normal(next));
const grain = (ms: number): number => Math.ceil(4 * ms) / 4;
const atMost = (share: number, far: number) => (next: Uniform) => (next() < share ? far : 0);
const P90 = { quantile: 0.9, tolerance: 0.025, baseline: usual } as const;
/** With the factor exp(0.5·(z₉₀ − z₈₇.₅)), 12.5 % lie above the p90. */
const STRETCH = Math.exp(0.5 * (1.2815515655446004 - 1.1503493803760079));

const EDGES: readonly Edge[] = [
	{ ...P90, name: "few and far", pass: atMost(0.125, 1e9), harm: atMost(0.1, 1e9) },
	{ ...P90, name: "stretched", pass: (next) => STRETCH * usual(next), harm: usual },
	{
		...{ ...P90, name: "times in grains", baseline: (next) => grain(usual(next)) },
		...{ pass: atMost(0.125, 1e9), harm: (next) => grain(usual(next)) },
	},
	{
		...{ ...P90, name: "load of both arms from half to twice", load: (at) => 2 ** Math.sin(6 * Math.PI * at) },
		...{ pass: (next) => STRETCH * usual(next), harm: usual },
	},
	{
		...{ ...P90, name: "people of one to three requests, three in the baseline for one" },
		...{ requests: (next) => 1 + Math.floor(3 * next()), shares: { challenger: 1, baseline: 3 } },
		...{ pass: atMost(0.125, 1e9), harm: atMost(0.1, 1e9) },
	},
];

const RUNS = 100;
/** 99 % upper limit of Binomial(100, 0.05). */
const LIMIT = 11;
const LOOKS = 25;

/** Harm also needs the larger share above the frozen thresholds themselves (compareShares.ts). */
function slower(t: GridSample, c: GridSample, shares: Edge["shares"]): boolean {
	const at = ({ n, slow }: GridSample) => ({ n, sum: n * (slow[CENTRE] ?? 0) });
	return logEvidence("above", at(t), at(c), { slope: 1, offset: 0 }, PRIOR_RARE, shares) >= -Math.log(ALPHA);
}

for (const edge of EDGES)
	t.test(`wherever thresholds were drawn, a wrong verdict is as rare as alpha: ${edge.name}`, async (t) => {
		const { quantile, tolerance, shares = EQUAL, load = () => 1, requests = () => 1 } = edge;
		const question = { quantile, tolerance, shares };
		let [passed, convicted, evidence] = [0, 0, 0];
		for (let run = 0; run < RUNS; run++) {
			const next = uniforms(20_261_127, run);
			const before = Array.from({ length: 300 }, () => edge.baseline(next)).sort((a, b) => a - b);
			const grid = gridQuantiles(quantile).map((q) => before[Math.floor(q * before.length)] ?? Number.NaN);
			const [c, pass, harm] = [new Slow(grid), new Slow(grid), new Slow(grid)];
			let [wasPassed, wasConvicted, logE] = [false, false, 0];
			for (let look = 1; look <= LOOKS; look++) {
				const now = load(look / LOOKS);
				const person = (law: (next: Uniform) => number): number[] =>
					Array.from({ length: requests(next) }, () => now * law(next));
				for (let unit = 0; unit < 60; unit++) {
					for (let more = 0; more < shares.baseline; more++) c.person(person(edge.baseline));
					pass.person(person(edge.pass));
					harm.person(person(edge.harm));
				}
				const inside = quantileInside(question, pass.sample(), c.sample(), ALPHA);
				// Stopped at the first proof.
				if (!wasPassed) logE = logQuantileInside(question, pass.sample(), c.sample());
				if (!wasPassed && inside !== logE >= -Math.log(ALPHA)) t.fail(`${inside} at e of ${Math.exp(logE)}`);
				wasPassed ||= inside;
				wasConvicted ||=
					slower(harm.sample(), c.sample(), shares) && quantileBeyond(question, harm.sample(), c.sample(), ALPHA);
			}
			passed += Number(wasPassed);
			convicted += Number(wasConvicted);
			evidence += Math.exp(logE) / RUNS;
		}
		t.comment(`of ${RUNS}: passed ${passed}, convicted ${convicted}; mean e-value of a wrong pass ${evidence}`);
		t.ok(passed <= LIMIT && convicted <= LIMIT);
		t.ok(evidence <= 1, `${evidence}`);
	});

/** Shares above the thresholds of a grid whose centre is the baseline's quantile times `drawn`: lognormal, σ 0.5. */
function lognormal(n: number, quantile: number, stretch: number, drawn = 1): GridSample {
	return { n, slow: gridQuantiles(quantile).map((q) => above(zOf(q) + 2 * Math.log(drawn / stretch))) };
}

/** Upper tail of the normal law and its inverse, to a few digits (Abramowitz & Stegun 26.2.17; halving). */
function above(z: number): number {
	if (z < 0) return 1 - above(-z);
	const k = 1 / (1 + 0.2316419 * z);
	const poly = k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
	return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
}

function zOf(q: number): number {
	let [lo, hi] = [-8, 8];
	for (let step = 0; step < 60; step++) {
		const middle = (lo + hi) / 2;
		if (above(middle) > 1 - q) lo = middle;
		else hi = middle;
	}
	return lo;
}

function unitsUntil(proved: (n: number) => boolean): number {
	let n = 10;
	while (!proved(n) && n < 1e6) n = Math.ceil(1.05 * n);
	return n;
}

t.test("a claim about a p99 needs the documented units per arm", async (t) => {
	const question = { quantile: 0.99, tolerance: 0.0025, shares: EQUAL };
	const pass = (stretch: number, drawn = 1): number =>
		unitsUntil((n) => {
			const [of, beside] = [lognormal(n, 0.99, stretch, drawn), lognormal(n, 0.99, 1, drawn)];
			const inside = quantileInside(question, of, beside, 0.0375);
			if (inside !== logQuantileInside(question, of, beside) >= -Math.log(0.0375)) throw new Error(`at ${n} units`);
			return inside;
		});
	const harm = (stretch: number, drawn = 1): number =>
		unitsUntil((n) =>
			quantileBeyond(question, lognormal(n, 0.99, stretch, drawn), lognormal(n, 0.99, 1, drawn), 0.0125),
		);
	const found = {
		equalAtMargin100: pass(1 / 2),
		equalAtMargin20: pass(1 / 1.2),
		equalAtMargin10: pass(1 / 1.1),
		beyondByThreeTenths: harm(1.3),
		threefold: harm(3),
	};
	t.comment(JSON.stringify(found));
	t.ok(found.equalAtMargin100 < 1_000 && found.equalAtMargin20 < 4_500 && found.equalAtMargin10 < 12_000);
	t.ok(found.beyondByThreeTenths < 2_000 && found.threefold < 100);
	t.ok(pass(1 / 1.2, 1.03) < 1.3 * found.equalAtMargin20, "a quantile drawn at the p98.8 or the p99.2 matters little");
	t.ok(pass(1 / 1.2, 0.97) < 1.3 * found.equalAtMargin20);
	t.ok(pass(1.05) >= 1e6, "no pass beyond the tolerance");
	t.ok(harm(1) >= 1e6, "no pass at the margin");
});

t.test("a quantile's claim needs the shares at every threshold", async (t) => {
	const question = { quantile: 0.99, tolerance: 0.0025, shares: EQUAL };
	const good = { n: 1e6, slow: gridQuantiles(0.99).map(() => 0) };
	const base = lognormal(1e6, 0.99, 1);
	t.ok(quantileInside(question, good, base, ALPHA));
	t.notOk(quantileInside(question, { n: 1e6, slow: [] }, base, ALPHA));
	t.notOk(quantileInside(question, good, { n: 1e6, slow: base.slow.slice(1) }, ALPHA));
	t.notOk(quantileBeyond(question, { n: 1e6, slow: [] }, base, ALPHA));
	t.equal(logQuantileInside(question, { n: 1e6, slow: [] }, base), Number.NEGATIVE_INFINITY);
	t.ok(logQuantileInside(question, good, base) > 100);
	t.notOk(quantileInside(question, { n: 0, slow: [] }, { n: 0, slow: [] }, ALPHA));
});
