import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import {
	experimentSalt,
	experimentTable,
	freshStatus,
	layerName,
} from "../../../src/compile/assignment/experimentTable.js";
import { hasher } from "../../../src/compile/assignment/hash.js";
import type { ExperimentStatus, Phase } from "../../../src/decide/rollout/status.js";
import { experimentOf, layerOf, tableOf } from "./experiments.js";

t.test("a new Experiment has the allocation of its first step, or the given allocation", async (t) => {
	const experiment = experimentOf({ weights: [1, 2] });
	t.equal(freshStatus(experiment, null).allocationPpm, 100_000);
	const table = experimentTable(experiment, null, freshStatus(experiment, 200_000));
	t.same(table, {
		name: "e",
		unit: { from: "header", header: "x-user-id" },
		layerSeed: hasher.hash("layer:models", 0n).toString(),
		slotLoPpm: 0,
		slotHiPpm: 1_000_000,
		salt: "e",
		arms: [
			{ name: "arm0", variant: "v0", baseline: true, loPpm: 0, hiPpm: 333_333, livePoints: 66_666, parameters: {} },
			{
				name: "arm1",
				variant: "v1",
				baseline: false,
				loPpm: 333_333,
				hiPpm: 1_000_000,
				livePoints: 133_333,
				parameters: {},
			},
		],
		exposing: true,
		takeover: null,
	});
	t.same(JSON.parse(JSON.stringify(table)), table, "the table is JSON");
});

t.test(
	"salt and layer are qualified by a namespace other than default; a declared salt and seed are kept",
	async (t) => {
		const other = experimentOf({ namespace: "team-a", name: "x" });
		t.equal(experimentSalt(other), "team-a/x");
		t.equal(layerName(other), "team-a/models");
		t.equal(experimentSalt(experimentOf({ namespace: "team-a", salt: "S" })), "S");
		const experiment = experimentOf();
		const table = experimentTable(experiment, layerOf("18446744073709551615"), freshStatus(experiment, null));
		t.equal(table?.layerSeed, "18446744073709551615");
	},
);

t.test("the phase decides whether an Experiment assigns and exposes", async (t) => {
	const experiment = experimentOf();
	const at = (phase: Phase): ExperimentStatus => ({ ...freshStatus(experiment, 1_000_000), phase });
	for (const phase of ["Running", "Paused"] as const) {
		t.equal(experimentTable(experiment, null, at(phase))?.exposing, true, phase);
	}
	t.equal(experimentTable(experiment, null, at("Promoting"))?.exposing, false);
	const promotion = { arm: "arm1", variant: "v1", stepIndex: 0, takeoverPpm: 950_000, heldBackFromMs: 1 };
	t.equal(experimentTable(experiment, null, { ...at("Promoting"), promotion })?.exposing, true, "a holdback compares");
	for (const phase of ["Promoted", "RolledBack", "Aborted"] as const) {
		t.equal(experimentTable(experiment, null, at(phase)), null, phase);
	}
});

t.test("a closed arm has no live point; the others keep theirs", async (t) => {
	const experiment = experimentOf({ weights: [1, 1, 1] });
	const before = experimentTable(experiment, null, freshStatus(experiment, 500_000));
	const status = { ...freshStatus(experiment, 500_000), closedArms: ["arm1"] };
	const after = experimentTable(experiment, null, status);
	t.same(
		after?.arms.map((arm) => arm.livePoints),
		[before?.arms[0]?.livePoints, 0, before?.arms[2]?.livePoints],
	);
});

const UNITS = Array.from({ length: 20_000 }, (_, index) => `u${index}`);

t.test("a ramp never moves a unit to another arm", async (t) => {
	const ramps: readonly (readonly number[])[] = [
		[1, 1],
		[1, 9],
		[5, 3, 1],
		[1, 0, 7, 2],
		[1_000_000, 1, 333_333, 77, 12_345],
		[1, 1, 1, 1, 1],
	];
	for (const weights of ramps) {
		const first = new Map<string, string>();
		let live = 0;
		for (let percent = 1; percent <= 100; percent += percent < 10 ? 1 : 5) {
			const table = tableOf({ weights, slotPpm: [50_000, 950_000], allocationPpm: percent * 10_000 });
			const assignment = compileAssignment(table);
			let now = 0;
			for (const unit of UNITS) {
				const arm = assignment.arm(unit);
				const before = first.get(unit);
				if (arm !== null) now++;
				if (before === undefined) {
					if (arm !== null) first.set(unit, arm);
				} else if (arm !== before) t.fail(`${unit} moved from ${before} to ${arm} at ${percent}%`);
			}
			if (now < live) t.fail(`fewer live units at ${percent}%`);
			live = now;
		}
		t.ok(live > 17_500, `${weights}: ${live} live at the end`);
	}
});

t.test("a takeover moves units only to the winner, and ends with the whole slot", async (t) => {
	const experiment = experimentOf({ weights: [2, 1, 3], slotPpm: [100_000, 800_000] });
	const won = new Set<string>();
	for (const takeoverPpm of [0, 10_000, 100_000, 500_000, 990_000, 1_000_000]) {
		const promotion = { arm: "arm1", variant: "v1", stepIndex: 0, takeoverPpm };
		const status: ExperimentStatus = { ...freshStatus(experiment, 600_000), phase: "Promoting", promotion };
		const table = experimentTable(experiment, null, status);
		if (table === null) throw new Error("promoting experiments have a table");
		t.same(table.takeover, { arm: "arm1", variant: "v1", ppm: takeoverPpm });
		const assignment = compileAssignment(table);
		let inSlot = 0;
		let now = 0;
		for (const unit of UNITS) {
			const location = assignment.locate(unit);
			if (location?.inSlot !== true) continue;
			inSlot++;
			if (location.variant === "v1") {
				won.add(unit);
				now++;
			} else if (won.has(unit)) t.fail(`${unit} left the winner at ${takeoverPpm}`);
			if (location.region === "arm1" && location.live && location.takenOver) t.fail("the winner takes over itself");
		}
		t.equal(now, won.size);
		if (takeoverPpm === 1_000_000) t.equal(now, inSlot, "all of the slot");
	}
});

t.test("a takeover moves the first points of each entry, live points and rest separately", async (t) => {
	const experiment = experimentOf({ weights: [1, 1] });
	const promotion = { arm: "arm1", variant: "v1", stepIndex: 0, takeoverPpm: 250_000 };
	const status: ExperimentStatus = { ...freshStatus(experiment, 400_000), phase: "Promoting", promotion };
	const table = experimentTable(experiment, null, status);
	if (table === null) throw new Error("promoting experiments have a table");
	const assignment = compileAssignment(table);
	const expected = (point: number): string | null => {
		if (point < 200_000) return point < 50_000 ? "v1" : "v0";
		if (point < 500_000) return point < 275_000 ? "v1" : null;
		if (point < 700_000) return "v1";
		return point < 775_000 ? "v1" : null;
	};
	const wrong = UNITS.filter((unit) => {
		const location = assignment.locate(unit);
		return location === null || location.variant !== expected(location.point);
	});
	t.same(wrong, []);
});
