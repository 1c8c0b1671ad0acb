/**
 * A million units with fixed ids: shares by chi-square, independence by contingency tables. As the ids are fixed, a
 * failure means that the hash or the arithmetic changed.
 */

import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { experimentTable, freshStatus, layerSeed } from "../../../src/compile/assignment/experimentTable.js";
import { experimentOf, tableOf } from "./experiments.js";

const UNITS = 1_000_000;

/** Chi-square at p = 10⁻⁴ by degrees of freedom: scipy.stats.chi2.isf(1e-4, k). */
const CRITICAL: Readonly<Record<number, number>> = { 1: 15.1367, 2: 18.4207, 3: 21.1075, 81: 137.0747 };

/** The statistic as a share of its critical value: below 1 means p > 10⁻⁴. */
function ofCritical(statistic: number, degrees: number): number {
	return statistic / (CRITICAL[degrees] ?? Number.NaN);
}

function goodness(observed: readonly number[], shares: readonly number[]): number {
	const total = observed.reduce((sum, count) => sum + count, 0);
	const statistic = observed.reduce((sum, count, index) => {
		const expected = total * (shares[index] ?? 0);
		return sum + (count - expected) ** 2 / expected;
	}, 0);
	return ofCritical(statistic, observed.length - 1);
}

/** Test of independence of a contingency table, by rows. */
function independence(table: readonly (readonly number[])[]): number {
	const rows = table.map((row) => row.reduce((sum, count) => sum + count, 0));
	const columns = (table[0] ?? []).map((_, column) => table.reduce((sum, row) => sum + (row[column] ?? 0), 0));
	const total = rows.reduce((sum, count) => sum + count, 0);
	let statistic = 0;
	for (const [i, row] of table.entries()) {
		for (const [j, count] of row.entries()) {
			const expected = ((rows[i] ?? 0) * (columns[j] ?? 0)) / total;
			statistic += (count - expected) ** 2 / expected;
		}
	}
	return ofCritical(statistic, (rows.length - 1) * (columns.length - 1));
}

const cell = (table: number[][], i: number, j: number): void => {
	const row = table[i];
	if (row !== undefined) row[j] = (row[j] ?? 0) + 1;
};
const square = (rows: number, columns: number): number[][] =>
	Array.from({ length: rows }, () => new Array<number>(columns).fill(0));

t.test("a million units have the declared shares of slot, arms and rest", async (t) => {
	const experiment = experimentOf({ weights: [3, 2, 1], slotPpm: [200_000, 900_000], name: "shares" });
	const table = experimentTable(experiment, null, freshStatus(experiment, 400_000));
	if (table === null) throw new Error("a fresh experiment has a table");
	const assignment = compileAssignment(table);
	const slot = [0, 0];
	const arms = [0, 0, 0, 0];
	const regions = [0, 0, 0];
	for (let index = 0; index < UNITS; index++) {
		const location = assignment.locate(`user-${index}`);
		if (location === null) throw new Error("every id is a unit");
		slot[location.inSlot ? 0 : 1] = (slot[location.inSlot ? 0 : 1] ?? 0) + 1;
		if (location.region === null) continue;
		const region = Number(location.region.slice(3));
		regions[region] = (regions[region] ?? 0) + 1;
		const arm = location.live ? region : 3;
		arms[arm] = (arms[arm] ?? 0) + 1;
	}
	const sizes = table.arms.map((arm) => (arm.hiPpm - arm.loPpm) / 1e6);
	const live = table.arms.map((arm) => arm.livePoints / 1e6);
	const results = {
		slot: goodness(slot, [0.7, 0.3]),
		regions: goodness(regions, sizes),
		arms: goodness(arms, [...live, 1 - live.reduce((sum, share) => sum + share, 0)]),
	};
	for (const [name, share] of Object.entries(results)) t.ok(share < 1, `${name}: ${share.toFixed(2)} of critical`);
});

t.test("layers are independent, salts are independent, and a slot does not predict an arm", async (t) => {
	const seeds = { models: layerSeed("models", null), prices: layerSeed("prices", null) };
	t.not(seeds.models, seeds.prices);
	const slotted = compileAssignment(tableOf({ layer: "models", slotPpm: [0, 1], salt: "a" }));
	const other = compileAssignment(tableOf({ layer: "prices", slotPpm: [0, 1], salt: "b" }));
	const layers = square(10, 10);
	const salts = square(10, 10);
	const slotAndArm = square(10, 10);
	for (let index = 0; index < 300_000; index++) {
		const left = slotted.locate(`person-${index}`);
		const right = other.locate(`person-${index}`);
		if (left?.slotPoint == null || right?.slotPoint == null) throw new Error("both layers are hashed");
		cell(layers, Math.floor(left.slotPoint / 1e5), Math.floor(right.slotPoint / 1e5));
		cell(salts, Math.floor(left.point / 1e5), Math.floor(right.point / 1e5));
		cell(slotAndArm, Math.floor(left.slotPoint / 1e5), Math.floor(left.point / 1e5));
	}
	for (const [name, table] of Object.entries({ layers, salts, slotAndArm })) {
		const share = independence(table);
		t.ok(share < 1, `${name}: ${share.toFixed(2)} of critical`);
	}
});

t.test("consecutive Experiments in one slot do not inherit their groups", async (t) => {
	const first = compileAssignment(tableOf({ name: "first", allocationPpm: 1_000_000, weights: [1, 1] }));
	const second = compileAssignment(tableOf({ name: "second", allocationPpm: 1_000_000, weights: [1, 1] }));
	const table = square(2, 2);
	for (let index = 0; index < 200_000; index++) {
		const unit = `p${index}`;
		cell(table, first.arm(unit) === "arm0" ? 0 : 1, second.arm(unit) === "arm0" ? 0 : 1);
	}
	const share = independence(table);
	t.ok(share < 1, `${share.toFixed(2)} of critical`);
});
