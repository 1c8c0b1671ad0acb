/**
 * Units on the edges of an Experiment: the point below and the point on every boundary of regions, live shares,
 * taken-over shares and the slot. Random units would miss an off-by-one. The boundaries are computed anew from the
 * resources.
 */
import xxhash from "xxhash-wasm";
import type { Subject } from "./declaration.js";

const { h64Raw } = await xxhash();

type Running = Subject["experiments"][number];

const PPM = 1_000_000;
const qualified = ({ name, namespace }: { name: string; namespace: string }): string =>
	namespace === "default" ? name : `${namespace}/${name}`;

const cell = new BigUint64Array(1);
const halves = new Uint32Array(cell.buffer);

/** XXH64 mod 10⁶: 2³² ≡ 967,296. */
function pointOf(bytes: Uint8Array, seed: bigint): number {
	cell[0] = h64Raw(bytes, seed);
	const [low = 0, high = 0] = halves;
	return ((high % PPM) * 967_296 + low) % PPM;
}

/**
 * A unit for each edge of the subject's Experiments that is found within so many tries: of 3 million, 95 %.
 * @returns units such as `e0123456`
 */
export function edgeUnits({ experiments, layer }: Subject, tries = 3_000_000): readonly string[] {
	return experiments
		.filter(({ status }) => ["Running", "Paused", "Promoting"].includes(status.phase))
		.flatMap((own) => unitsOf(own, layer?.spec.seed ?? null, tries));
}

function unitsOf(own: Running, layerSeed: string | null, tries: number): readonly string[] {
	const { spec, metadata } = own.experiment;
	const encoder = new TextEncoder();
	const layerName = encoder.encode(`layer:${qualified({ name: spec.layer.name, namespace: metadata.namespace })}`);
	const seed = layerSeed === null ? h64Raw(layerName, 0n) : BigInt(layerSeed);
	const prefix = encoder.encode(`${spec.salt ?? qualified(metadata)}:`);
	const salted = new Uint8Array(prefix.length + DIGITS.length);
	salted.set(prefix);
	salted.set(DIGITS, prefix.length);
	const unit = salted.subarray(prefix.length);
	const inner = edgesOf(innerBounds(own));
	const outer = edgesOf([spec.layer.slotLoPpm, spec.layer.slotHiPpm]);
	const found: string[] = [];
	for (let index = 0; index < tries && inner.size + outer.size > 0; index++) {
		writeDigits(unit, index);
		const slot = outer.size > 0 || inner.size > 0 ? pointOf(unit, seed) : 0;
		const inSlot = slot >= spec.layer.slotLoPpm && slot < spec.layer.slotHiPpm;
		if (outer.delete(slot) || (inSlot && inner.delete(pointOf(salted, 0n)))) {
			found.push(Buffer.from(unit).toString("latin1"));
		}
	}
	return found;
}

const DIGITS = new TextEncoder().encode("e0000000");

function writeDigits(unit: Uint8Array, value: number): void {
	let rest = value;
	for (let at = unit.length - 1; at > 0; at--) {
		unit[at] = 0x30 + (rest % 10);
		rest = Math.floor(rest / 10);
	}
}

function innerBounds({ experiment, status }: Running): readonly number[] {
	const { arms } = experiment.spec;
	const total = arms.reduce((sum, { weight }) => sum + weight, 0);
	let before = 0;
	return arms.flatMap(({ name, weight }) => {
		const lo = Math.floor((PPM * before) / total);
		before += weight;
		const hi = Math.floor((PPM * before) / total);
		const live = status.closedArms.includes(name) ? 0 : Math.floor(((hi - lo) * status.allocationPpm) / PPM);
		const takeover = status.phase === "Promoting" ? (status.promotion?.takeoverPpm ?? 0) : 0;
		const taken = (size: number): number => Math.floor((size * takeover) / PPM);
		return [lo, lo + taken(live), lo + live, lo + live + taken(hi - lo - live), hi];
	});
}

function edgesOf(bounds: readonly number[]): Set<number> {
	const inside = bounds.filter((bound) => bound > 0 && bound < PPM);
	return new Set(inside.flatMap((bound) => [bound - 1, bound]));
}
