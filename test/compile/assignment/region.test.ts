/** Exactness against the same arithmetic in BigInt. */
import t from "tap";
import { pointOf } from "../../../src/compile/assignment/assign.js";
import { armRegions, sharePoints } from "../../../src/compile/assignment/region.js";
import { ARM_WEIGHT_MAX, ARMS_MAX } from "../../../src/limits/index.js";

/** Deterministic random numbers (mulberry32). */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

t.test("regions of random weights equal exact integer arithmetic, and cover the space", async (t) => {
	const next = random(1);
	let wrong = 0;
	for (let round = 0; round < 20_000; round++) {
		const scale = next() < 0.5 ? 10 : ARM_WEIGHT_MAX;
		const weights = Array.from({ length: 1 + Math.floor(next() * ARMS_MAX) }, () => Math.floor(next() * (scale + 1)));
		if (!weights.some((weight) => weight > 0)) weights.fill(1);
		const sum = BigInt(weights.reduce((total, weight) => total + weight, 0));
		let cumulative = 0n;
		for (const [index, region] of armRegions(weights).entries()) {
			const lo = (1_000_000n * cumulative) / sum;
			cumulative += BigInt(weights[index] ?? 0);
			const hi = (1_000_000n * cumulative) / sum;
			if (BigInt(region.loPpm) !== lo || BigInt(region.hiPpm) !== hi) wrong++;
			if (weights[index] === 0 && region.loPpm !== region.hiPpm) wrong++;
		}
		if (cumulative !== sum || armRegions(weights).at(-1)?.hiPpm !== 1_000_000) wrong++;
	}
	t.equal(wrong, 0);
});

t.test("the largest weights are exact", async (t) => {
	const weights = Array.from({ length: ARMS_MAX }, (_, index) => ARM_WEIGHT_MAX - index);
	const sum = BigInt(weights.reduce((total, weight) => total + weight, 0));
	let cumulative = 0n;
	for (const [index, region] of armRegions(weights).entries()) {
		cumulative += BigInt(weights[index] ?? 0);
		t.equal(BigInt(region.hiPpm), (1_000_000n * cumulative) / sum);
	}
});

t.test("shares of points equal exact integer arithmetic", async (t) => {
	const next = random(2);
	let wrong = 0;
	for (let round = 0; round < 200_000; round++) {
		const size = Math.floor(next() * 1_000_001);
		const share = Math.floor(next() * 1_000_001);
		if (BigInt(sharePoints(size, share)) !== (BigInt(size) * BigInt(share)) / 1_000_000n) wrong++;
	}
	t.equal(wrong, 0);
	t.equal(sharePoints(1_000_000, 1_000_000), 1_000_000);
	t.equal(sharePoints(1, 999_999), 0);
});

t.test("a uint64 mod 10⁶ is exact, at the edges and at random", async (t) => {
	const edges = [0n, 1n, 999_999n, 1_000_000n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
	for (const value of edges) t.equal(pointOf(value), Number(value % 1_000_000n), `${value}`);
	const next = random(3);
	let wrong = 0;
	for (let round = 0; round < 200_000; round++) {
		const value = (BigInt(Math.floor(next() * 2 ** 32)) << 32n) | BigInt(Math.floor(next() * 2 ** 32));
		if (pointOf(value) !== Number(value % 1_000_000n)) wrong++;
		// Multiples of 10⁶ and their neighbours are where a rounded quotient would slip.
		const multiple = value - (value % 1_000_000n);
		if (pointOf(multiple) !== 0 || (multiple > 0n && pointOf(multiple - 1n) !== 999_999)) wrong++;
	}
	t.equal(wrong, 0);
});
