/**
 * Cost of assign() against two bare xxhash-wasm calls on the same ids, the minimum for a slot. Figures are medians of CPU time.
 * Rounds alternate, so that other load affects both. The Experiment has a slot that takes 99 of 100 units of its layer.
 * Run: `node dist/test/bench/assign.js`; the last line is `RESULT {"ratioToBareHash":…,"perSecond":…}`.
 */
import xxhash from "xxhash-wasm";
import { compileAssignment } from "../../src/compile/assignment/assign.js";
import { armRegions, sharePoints } from "../../src/compile/assignment/region.js";
import type { ExperimentTable } from "../../src/compile/plan/compiledPlan.js";

const ROUNDS = 21;
const IDS = 200_000;

const { h64 } = await xxhash();
const ids = Array.from({ length: IDS }, (_, index) => `user-${(index * 2654435761) % 4294967296}`);

const table = (slotLoPpm: number): ExperimentTable => ({
	name: "bench",
	unit: { from: "header", header: "x-user-id" },
	layerSeed: "7",
	slotLoPpm,
	slotHiPpm: 1_000_000,
	salt: "boosted-vs-logistic",
	arms: armRegions([1, 1]).map((region, index) => ({
		name: index === 0 ? "control" : "boosted",
		variant: index === 0 ? "v1" : "v2",
		baseline: index === 0,
		...region,
		livePoints: sharePoints(region.hiPpm - region.loPpm, 500_000),
		parameters: {},
	})),
	exposing: true,
	takeover: null,
});
const slotted = compileAssignment(table(10_000));
const whole = compileAssignment(table(0));

let sink = 0;
const contenders = {
	bare: () => {
		for (const id of ids) {
			if (h64(id, 7n) === h64(id, 0n)) sink++;
		}
	},
	slot: () => {
		for (const id of ids) {
			if (slotted.arm(id) === "boosted") sink++;
		}
	},
	whole: () => {
		for (const id of ids) {
			if (whole.arm(id) === "boosted") sink++;
		}
	},
};

/** CPU microseconds of this process, user and system. */
function cpuUs(run: () => void): number {
	const before = process.cpuUsage();
	run();
	const used = process.cpuUsage(before);
	return used.user + used.system;
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((left, right) => left - right);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

for (const run of Object.values(contenders)) run();
const times = { bare: [] as number[], slot: [] as number[], whole: [] as number[] };
for (let round = 1; round <= ROUNDS; round++) {
	times.bare.push(cpuUs(contenders.bare));
	times.slot.push(cpuUs(contenders.slot));
	times.whole.push(cpuUs(contenders.whole));
	if (round % 7 === 0) process.stdout.write(`round ${round} of ${ROUNDS}\n`);
}

const perSecond = (us: number): number => Math.round((IDS / us) * 1e6);
const bare = median(times.bare);
const slot = median(times.slot);
process.stdout.write(`two bare hashes      ${perSecond(bare)} ids/s\n`);
process.stdout.write(`assign, part of layer ${perSecond(slot)} ids/s\n`);
process.stdout.write(`assign, whole layer  ${perSecond(median(times.whole))} ids/s (${sink > 0 ? "checked" : "?"})\n`);
process.stdout.write(
	`RESULT ${JSON.stringify({ ratioToBareHash: Number((bare / slot).toFixed(3)), perSecond: perSecond(slot) })}\n`,
);
