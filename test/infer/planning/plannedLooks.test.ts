/** Plans with planned looks agree with published tables, an independent quadrature, and simulations of our own rules. */

import { readFileSync } from "node:fs";
import t from "tap";
import { driftForPower, looksPlan, meanUnits, provedBy } from "../../../src/infer/planning/plannedLooks.js";
import { normalIsf } from "../../../src/infer/statistics/distributions/normal.js";
import { isNoEstimate } from "../../../src/infer/statistics/estimators/estimate.js";
import { crossingProbabilities, groupBoundaries } from "../../../src/infer/statistics/groupSequential/boundaries.js";
import { classicalBoundaries } from "../statistics/formulas.js";
import { ACCURACY, STARS, WAIT } from "./examples.js";

interface Characteristics {
	readonly looks: number;
	readonly power: number;
	readonly drift: number;
	readonly inflation: number;
	/** Expected units as a multiple of one look's. */
	readonly expectedOnLine: number;
	readonly expectedBelieved: number;
}
interface Golden {
	readonly designs: readonly (Characteristics & {
		readonly spending: "obrien-fleming" | "pocock";
		readonly alpha: number;
		readonly z: readonly number[];
		readonly proved: readonly number[];
	})[];
	readonly classical: readonly (Characteristics & {
		readonly kind: "obrien-fleming" | "pocock";
		readonly constant: number;
	})[];
}

const golden: Golden = JSON.parse(readFileSync("test/fixtures/statistics/plannedLooks.json", "utf8"));
const near = (seen: number, truth: number, tolerance: number): boolean => Math.abs(seen - truth) <= tolerance;
const evenly = (looks: number): number[] => Array.from({ length: looks }, (_, k) => (k + 1) / looks);

t.test("boundaries, powers and expected units of Lan-DeMets designs equal those of another quadrature", async (t) => {
	for (const {
		spending,
		alpha,
		looks,
		power,
		drift,
		inflation,
		z,
		proved,
		expectedOnLine,
		expectedBelieved,
	} of golden.designs) {
		const name = `${spending}, ${looks} looks, alpha ${alpha}, power ${power}`;
		const found = groupBoundaries({ alpha, sides: 1, spending: { kind: spending } }, evenly(looks));
		if (isNoEstimate(found)) throw new Error(found.reason);
		t.ok(
			found.every((look, k) => near(look.z ?? Number.NaN, z[k] ?? 0, 1e-7)),
			`${name}: z`,
		);
		const own = driftForPower(found, power) ?? Number.NaN;
		t.ok(near(own, drift, 2e-5), `${name}: drift ${own} of ${drift}`);
		const one = normalIsf(alpha) + normalIsf(1 - power);
		t.ok(near((own / one) ** 2, inflation, 2e-5), `${name}: R ${(own / one) ** 2} of ${inflation}`);
		const chances = provedBy(found, drift);
		t.ok(
			chances.every((chance, k) => near(chance, proved[k] ?? 0, 1e-8)),
			`${name}: chance by each look`,
		);
		const mean = (at: number): number =>
			meanUnits(
				evenly(looks).map((share) => share * inflation),
				provedBy(found, at),
			);
		t.ok(near(mean(drift), expectedBelieved, 1e-7), `${name}: mean under the effect`);
		t.ok(near(mean(0), expectedOnLine, 1e-7), `${name}: mean on the line`);
	}
});

/** Jennison & Turnbull, Group Sequential Methods (2000), tables 2.2 and 2.4: two-sided alpha 5 %, K = 2…10. */
const R = {
	pocock: {
		0.8: [1.11, 1.166, 1.202, 1.229, 1.249, 1.265, 1.279, 1.291, 1.301],
		0.9: [1.1, 1.151, 1.183, 1.207, 1.225, 1.239, 1.252, 1.262, 1.271],
	},
	"obrien-fleming": {
		0.8: [1.008, 1.017, 1.024, 1.028, 1.032, 1.035, 1.037, 1.038, 1.04],
		0.9: [1.007, 1.016, 1.022, 1.026, 1.03, 1.032, 1.034, 1.036, 1.037],
	},
} as const;

t.test("inflation factors and expected numbers equal the published ones", async (t) => {
	for (const { kind, looks, power, inflation, constant, expectedOnLine, expectedBelieved } of golden.classical) {
		const published = R[kind][power as 0.8 | 0.9][looks - 2] ?? Number.NaN;
		const design = classicalBoundaries(kind, looks, 0.05, 2);
		if (isNoEstimate(design)) throw new Error(design.reason);
		t.ok(near(design.at(-1)?.z ?? 0, constant, 1e-7), `${kind} ${looks}: constant`);
		// The probability to reject on the right side; the other one is negligible.
		const right = (drift: number): number => {
			const crossings = crossingProbabilities(design, 2, drift);
			return isNoEstimate(crossings) ? Number.NaN : crossings.reduce((sum, { above }) => sum + above, 0);
		};
		const one = normalIsf(0.025) + normalIsf(1 - power);
		t.ok(near(right(one * Math.sqrt(inflation)), power, 1e-8), `${kind} ${looks}: power ${power}`);
		t.ok(near(inflation, published, 5.1e-4), `${kind} ${looks}, power ${power}: R ${inflation} of ${published}`);
		if (looks !== 4 || power !== 0.9 || kind !== "pocock") continue;
		// SAS/STAT, the SEQDESIGN procedure, two-sided Pocock design of four stages: in percent of one look.
		for (const [value, sas] of [
			[inflation, 118.3143],
			[expectedOnLine, 115.6074],
			[expectedBelieved, 69.74805],
		] as const)
			t.ok(near(100 * value, sas, 1e-4), `${100 * value} of ${sas}`);
	}
});

const PAIR = { alpha: 0.05, shares: { challenger: 1, baseline: 1 }, pairShare: 1, power: 0.8 } as const;
const GROUPS = { design: "group-sequential", looks: 4, units: 9_000, spending: "obrien-fleming" } as const;

t.test("the units to declare are R times those of one look, with the wanted power", async (t) => {
	for (const metric of [ACCURACY, { ...ACCURACY, believed: 0.02 }, WAIT, { ...STARS, believed: 0.06 }]) {
		const plan = looksPlan(metric, { ...PAIR, design: GROUPS });
		const units = plan.unitsForPower ?? 0;
		const again = looksPlan(metric, { ...PAIR, design: { ...GROUPS, units } });
		const last = again.looks.at(-1)?.proved ?? 0;
		t.ok(last >= 0.8 - 1e-4 && last < 0.81, `${metric.name}: ${units} units prove with ${last}`);
		t.ok(
			near(again.detectable ?? 0, metric.believed, 2e-3 * metric.believed),
			`${metric.name}: finds ${again.detectable}`,
		);
		t.ok((again.inflation ?? 0) >= 1 && (again.inflation ?? 0) < 1.1, `R ${again.inflation}`);
		t.ok(again.expectedUnits.believed < again.expectedUnits.onLine && again.expectedUnits.onLine < units);
		const lost = again.looks.some(({ z }) => z === null);
		const wrong = again.looks.at(-1)?.provedOnLine ?? 1;
		t.ok(
			lost ? wrong < 0.05 : near(wrong, 0.05, 1e-9),
			"alpha is what is proved on the line, less what early looks lose",
		);
	}
});

t.test("looks that are too early decide nothing; a pair of several arms has its part of the units", async (t) => {
	const early = (units: number) =>
		looksPlan({ ...WAIT, believed: 10 }, { ...PAIR, design: { ...GROUPS, units } }).looks.map(({ z }) => z === null);
	t.same(
		early(8_000),
		[true, true, false, false],
		"a mean needs 2,000 units in either arm, and chance does not halve 4,000",
	);
	t.same(early(8_400), [true, false, false, false], "4,200 units leave 2,000 for the smaller arm");
	// SE = 60·√(2/n); a unit d away moves the difference by d/n: 0.2 SE at d = 500 from n = 868, at 1,500 from 7,813 on.
	const far = (farthest: number) =>
		looksPlan({ ...WAIT, believed: 10, farthest }, { ...PAIR, design: { ...GROUPS, units: 20_000 } });
	t.ok(far(500).looks.every(({ z }) => z !== null));
	t.same(
		far(1_500).looks.map(({ z }) => z === null),
		[true, true, true, false],
		"one unit with a very long wait outweighs the others",
	);
	const none = looksPlan(WAIT, { ...PAIR, design: { ...GROUPS, units: 2_000 } });
	t.equal(none.looks.at(-1)?.proved, 0);
	t.equal(none.detectable, null);
	for (const metric of [
		WAIT,
		{ ...WAIT, believed: 20 },
		{ ...WAIT, believed: 9, farthest: 3_000 },
		{ ...ACCURACY, believed: 0.12 },
	]) {
		const units = looksPlan(metric, { ...PAIR, design: GROUPS }).unitsForPower ?? 0;
		const chance = (count: number): number =>
			looksPlan(metric, { ...PAIR, design: { ...GROUPS, units: count } }).looks.at(-1)?.proved ?? 0;
		t.ok(chance(units) >= 0.8 - 1e-4, `${metric.name}: ${units} units prove with ${chance(units)}`);
		t.ok(
			chance(Math.floor(0.99 * units) - 1) < 0.8,
			`${metric.name}: and no fewer (${chance(Math.floor(0.99 * units) - 1)})`,
		);
	}
	const never = looksPlan({ ...ACCURACY, believed: 0.005 }, { ...PAIR, design: GROUPS });
	t.match(never, { unitsForPower: null, inflation: null });
	const [two, three] = [1, 2 / 3].map((pairShare) => looksPlan(ACCURACY, { ...PAIR, pairShare, design: GROUPS }));
	t.ok(near(((three?.unitsForPower ?? 0) * 2) / 3 / (two?.unitsForPower ?? 1), 1, 1e-3));
});
