/**
 * Assignment outside Envoy, with the same result as the native form for every input (design: "Assignment, bit for bit"). A
 * table is compiled once and used per request. It knows arms and Variants; the caller knows the Service's default Variant.
 */

import { PPM } from "../../limits/index.js";
import type { ExperimentTable } from "../plan/compiledPlan.js";
import { FRAME_UNIT_BYTES_MAX, loadUnit, unitFrame } from "./frame.js";
import { hasher } from "./hash.js";
import { sharePoints } from "./region.js";
import { isUnit } from "./unit.js";

/** Position of a unit, and the assignment that follows. */
export interface Location {
	/** XXH64(unit, layer seed) mod 10⁶; null where the slot is the whole layer and no layer hash is needed. */
	readonly slotPoint: number | null;
	readonly inSlot: boolean;
	/** XXH64(salt + ":" + unit, 0) mod 10⁶. */
	readonly point: number;
	/** Arm whose region holds the point, live or not; null outside the slot. */
	readonly region: string | null;
	/** Whether the point is one of the region's live ones. */
	readonly live: boolean;
	/** While promoting: whether the point has been taken over by the winner. */
	readonly takenOver: boolean;
	/** Variant of the unit; null = the Service's default Variant. */
	readonly variant: string | null;
}

export interface Assignment {
	readonly experiment: string;
	/**
	 * Live arm of a unit; null for the rest of a region, outside the slot, and for an invalid unit. While promoting it is still
	 * the live arm, even if the traffic is taken over: see locate().variant.
	 */
	arm(unit: string): string | null;
	/** The full result; null for an invalid unit. */
	locate(unit: string): Location | null;
}

// One cell, seen as a uint64 and as its two 32-bit halves: BigInt modulo would cost more than the hash.
const cell = new BigUint64Array(1);
const halves = new Uint32Array(cell.buffer);
cell[0] = 1n;
if (halves[0] !== 1) throw new Error("Weir runs on little-endian machines, as its native packages do");

// Written out below because V8 divides faster by a literal than by an imported constant: 25 ns of a hash of 110.
if (PPM !== 1_000_000 || 2 ** 32 % PPM !== 967_296) throw new Error("pointOf() is written for a scale of 10⁶");

/** An unsigned 64-bit integer mod 10⁶, as hi · 2³² + lo in doubles: every step stays below 10¹² and is exact. */
export function pointOf(hash: bigint): number {
	cell[0] = hash;
	const sum = ((halves[1] as number) % 1_000_000) * 967_296 + ((halves[0] as number) % 1_000_000);
	// Not %, which is slow on doubles above 2³². Exact: sum/10⁶ < 2²⁰ lies at least 10⁻⁶ below the next integer.
	return sum - Math.floor(sum / 1_000_000) * 1_000_000;
}

/** Points per bucket of the search for an entry; a literal in entryAt() for the same reason. */
const BUCKET_POINTS = 1_000;

/** One run of points with the same answer: an arm's live points or the rest of its region. */
interface Entry {
	readonly hiPpm: number;
	readonly region: string;
	readonly live: boolean;
	/** Points below it are taken over; equal to the entry's start if none is. */
	readonly takenOverBelowPpm: number;
	readonly variant: string | null;
}

/** Compiles a table. It must be consistent: regions rise and cover [0, 10⁶). */
export function compileAssignment(table: ExperimentTable): Assignment {
	const entries = entriesOf(table);
	const arms = entries.map((entry) => (entry.live ? entry.region : null));
	const bounds = Int32Array.from(entries, (entry) => entry.hiPpm);
	const firstEntry = firstEntries(bounds);
	const prefix = `${table.salt}:`;
	const seed = BigInt(table.layerSeed);
	const { slotLoPpm, slotHiPpm, takeover } = table;
	const wholeLayer = slotLoPpm === 0 && slotHiPpm === PPM;
	const frame = unitFrame(prefix);
	const { bytes, start } = frame;
	const { hashBytes } = hasher;
	const outside = (slotPoint: number): boolean => slotPoint < slotLoPpm || slotPoint >= slotHiPpm;

	const entryAt = (point: number): number => {
		let index = firstEntry[(point / 1_000) | 0] ?? 0;
		while (point >= (bounds[index] ?? PPM)) index++;
		return index;
	};

	const locate = (unit: string): Location | null => {
		if (!isUnit(unit)) return null;
		const slotPoint = wholeLayer ? null : pointOf(hasher.hash(unit, seed));
		const inSlot = slotPoint === null || !outside(slotPoint);
		const point = pointOf(hasher.hash(prefix + unit, 0n));
		const entry = inSlot ? entries[entryAt(point)] : undefined;
		if (entry === undefined) {
			return { slotPoint, inSlot, point, region: null, live: false, takenOver: false, variant: null };
		}
		const takenOver = takeover !== null && point < entry.takenOverBelowPpm;
		return {
			slotPoint,
			inSlot,
			point,
			region: entry.region,
			live: entry.live,
			takenOver,
			variant: takenOver ? takeover.variant : entry.variant,
		};
	};

	return {
		experiment: table.name,
		arm(unit) {
			const { length } = unit;
			if (length > FRAME_UNIT_BYTES_MAX) {
				const location = locate(unit);
				return location?.live ? location.region : null;
			}
			if (!loadUnit(bytes, start, unit)) return null;
			if (!wholeLayer && outside(pointOf(hashBytes(frame.unit[length] ?? bytes, seed)))) return null;
			return arms[entryAt(pointOf(hashBytes(frame.salted[length] ?? bytes, 0n)))] ?? null;
		},
		locate,
	};
}

/** Entry of the first point of each bucket. A search from there almost always ends at once, so branches are predictable. */
function firstEntries(bounds: Int32Array): Uint8Array {
	let index = 0;
	return Uint8Array.from({ length: PPM / BUCKET_POINTS }, (_, bucket) => {
		while (bucket * BUCKET_POINTS >= (bounds[index] ?? PPM)) index++;
		return index;
	});
}

function entriesOf(table: ExperimentTable): readonly Entry[] {
	const { takeover } = table;
	return table.arms.flatMap((arm) => {
		const liveHi = arm.loPpm + arm.livePoints;
		const runs = [
			{ loPpm: arm.loPpm, hiPpm: liveHi, live: true },
			{ loPpm: liveHi, hiPpm: arm.hiPpm, live: false },
		];
		return runs
			.filter((run) => run.hiPpm > run.loPpm)
			.map((run) => {
				const winners = run.live && arm.name === takeover?.arm;
				const takenOver = takeover === null || winners ? 0 : sharePoints(run.hiPpm - run.loPpm, takeover.ppm);
				return {
					hiPpm: run.hiPpm,
					region: arm.name,
					live: run.live,
					takenOverBelowPpm: run.loPpm + takenOver,
					variant: run.live ? arm.variant : null,
				};
			});
	});
}
