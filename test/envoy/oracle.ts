/**
 * The assignment by the rules of docs/experiments.md, written anew: XXH64 in BigInt from its specification
 * (github.com/Cyan4973/xxHash doc/xxhash_spec.md) and exact integers. It shares no code with src/compile/assignment.
 */

import type { ExperimentStatus } from "../../src/decide/rollout/status.js";
import type { Experiment, Layer } from "../../src/declare/resources/resource.js";

const MASK = (1n << 64n) - 1n;
const P1 = 11400714785074694791n;
const P2 = 14029467366897019727n;
const P3 = 1609587929392839161n;
const P4 = 9650029242287828579n;
const P5 = 2870177450012600261n;

const rotl = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & MASK;
const round = (accumulator: bigint, lane: bigint): bigint => (rotl((accumulator + lane * P2) & MASK, 31n) * P1) & MASK;
const merge = (accumulator: bigint, value: bigint): bigint => ((accumulator ^ round(0n, value)) * P1 + P4) & MASK;

/** XXH64 of the bytes. */
export function xxh64(bytes: Buffer, seed: bigint): bigint {
	let at = 0;
	let hash: bigint;
	if (bytes.length >= 32) {
		let v1 = (seed + P1 + P2) & MASK;
		let v2 = (seed + P2) & MASK;
		let v3 = seed;
		let v4 = (seed - P1) & MASK;
		for (; at + 32 <= bytes.length; at += 32) {
			v1 = round(v1, bytes.readBigUInt64LE(at));
			v2 = round(v2, bytes.readBigUInt64LE(at + 8));
			v3 = round(v3, bytes.readBigUInt64LE(at + 16));
			v4 = round(v4, bytes.readBigUInt64LE(at + 24));
		}
		hash = (rotl(v1, 1n) + rotl(v2, 7n) + rotl(v3, 12n) + rotl(v4, 18n)) & MASK;
		hash = merge(merge(merge(merge(hash, v1), v2), v3), v4);
	} else {
		hash = (seed + P5) & MASK;
	}
	hash = (hash + BigInt(bytes.length)) & MASK;
	for (; at + 8 <= bytes.length; at += 8) {
		hash = (rotl(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4) & MASK;
	}
	if (at + 4 <= bytes.length) {
		hash = (rotl(hash ^ ((BigInt(bytes.readUInt32LE(at)) * P1) & MASK), 23n) * P2 + P3) & MASK;
		at += 4;
	}
	for (; at < bytes.length; at++) hash = (rotl(hash ^ ((BigInt(bytes.readUInt8(at)) * P5) & MASK), 11n) * P1) & MASK;
	hash = ((hash ^ (hash >> 33n)) * P2) & MASK;
	hash = ((hash ^ (hash >> 29n)) * P3) & MASK;
	return hash ^ (hash >> 32n);
}

export interface Expected {
	/** Value of `x-weir-arm`: the experiment's arm, or `-`. */
	readonly arm: string;
	/** null = the Service's default Variant. */
	readonly variant: string | null;
	readonly inSlot: boolean;
}

/** The unit that the values of one header make, or null. Values are as sent, blanks around them included. */
export function unitOf(values: readonly Buffer[]): Buffer | null {
	const [value] = values;
	if (value === undefined || values.length > 1) return null;
	const blank = (byte: number | undefined) => byte === 0x20 || byte === 0x09;
	let [start, end] = [0, value.length];
	while (start < end && blank(value[start])) start++;
	while (end > start && blank(value[end - 1])) end--;
	const trimmed = value.subarray(start, end);
	const printable = trimmed.every((byte) => byte >= 0x21 && byte <= 0x7e && byte !== 0x2c);
	return trimmed.length > 0 && printable ? trimmed : null;
}

/** The result for a unit under one Experiment, by the assignment and takeover rules of docs/experiments.md. */
export function expected(
	unit: Buffer,
	experiment: Experiment,
	layer: Layer | null,
	status: ExperimentStatus,
): Expected {
	const { spec, metadata } = experiment;
	const qualified = (name: string) => (metadata.namespace === "default" ? name : `${metadata.namespace}/${name}`);
	const ppm = 1_000_000n;
	const seed =
		layer?.spec.seed == null ? xxh64(Buffer.from(`layer:${qualified(spec.layer.name)}`), 0n) : BigInt(layer.spec.seed);
	const slot = xxh64(unit, seed) % ppm;
	if (slot < BigInt(spec.layer.slotLoPpm) || slot >= BigInt(spec.layer.slotHiPpm)) {
		return { arm: "-", variant: null, inSlot: false };
	}
	const salt = spec.salt ?? qualified(metadata.name);
	const x = xxh64(Buffer.concat([Buffer.from(`${salt}:`), unit]), 0n) % ppm;
	const total = spec.arms.reduce((sum, arm) => sum + BigInt(arm.weight), 0n);
	let before = 0n;
	for (const arm of spec.arms) {
		const lo = (ppm * before) / total;
		before += BigInt(arm.weight);
		const hi = (ppm * before) / total;
		if (x >= hi) continue;
		const share = BigInt(status.shares?.ppm[arm.name] ?? 1_000_000);
		const allocation = (BigInt(status.allocationPpm) * share) / ppm;
		const live = status.closedArms.includes(arm.name) ? 0n : ((hi - lo) * allocation) / ppm;
		const isLive = x < lo + live;
		const [runLo, runSize] = isLive ? [lo, live] : [lo + live, hi - lo - live];
		const winner = status.phase === "Promoting" ? status.promotion : null;
		if (winner !== null && !(isLive && arm.name === winner.arm)) {
			const taken = (runSize * BigInt(winner.takeoverPpm)) / ppm;
			if (x < runLo + taken) return { arm: winner.arm, variant: winner.variant, inSlot: true };
		}
		return { arm: isLive ? arm.name : "-", variant: isLive ? arm.variant : null, inSlot: true };
	}
	throw new Error("arm regions do not cover the hash space");
}
