/**
 * Units that lie exactly on the edges of a table: one point below and on every boundary of regions, live shares,
 * taken-over shares and the slot. Random units would miss an off-by-one.
 */
import { compileAssignment, pointOf } from "../../src/compile/assignment/assign.js";
import { hasher } from "../../src/compile/assignment/hash.js";
import type { ExperimentTable } from "../../src/compile/plan/compiledPlan.js";
import type { UnitCase } from "./units.js";

/** Enough that a point is missed with probability e⁻⁸. */
const TRIES = 8_000_000;

export function edgeUnits(table: ExperimentTable): readonly UnitCase[] {
	const inner = edges(table.arms.flatMap((arm) => [arm.loPpm, arm.loPpm + arm.livePoints, arm.hiPpm]));
	const outer = edges([table.slotLoPpm, table.slotHiPpm]);
	const assignment = compileAssignment(table);
	const seed = BigInt(table.layerSeed);
	const found: UnitCase[] = [];
	for (let index = 0; index < TRIES && inner.size + outer.size > 0; index++) {
		const unit = `edge-${index}`;
		const x = pointOf(hasher.hash(`${table.salt}:${unit}`, 0n));
		if (inner.has(x) && assignment.locate(unit)?.inSlot) {
			inner.delete(x);
			found.push({ name: `${unit}, point ${x}`, values: [Buffer.from(unit)] });
		}
		if (outer.size === 0) continue;
		const slot = pointOf(hasher.hash(unit, seed));
		if (outer.delete(slot)) found.push({ name: `${unit}, slot point ${slot}`, values: [Buffer.from(unit)] });
	}
	return found;
}

function edges(bounds: readonly number[]): Set<number> {
	const inside = bounds.filter((bound) => bound > 0 && bound < 1_000_000);
	return new Set(inside.flatMap((bound) => [bound - 1, bound]));
}
