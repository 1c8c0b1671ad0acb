import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { compileAssignment } from "../../../../../src/compile/assignment/assign.js";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import { armOf, type Entry, metric, PLANS, query, seriesKey, startRig, unitsOf } from "../../rig.js";

const start = (unit: string, requestId: string, startMs: number, over: Partial<Entry> = {}): Entry => ({
	kind: "start",
	unit,
	requestId,
	startMs,
	...over,
});
const end = (unit: string | null, requestId: string, startMs: number, over: Partial<Entry> = {}): Entry => ({
	kind: "end",
	unit,
	requestId,
	startMs,
	...over,
});
const entries = (result: string): string => seriesKey(COUNTERS.entries.name, { result });

t.test("only the start of a request in a live arm is an exposure, and a unit is exposed once", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [control = "", other = ""] = unitsOf("control", 2);
	const [rest = ""] = unitsOf(null, 1);
	await rig.send([
		start(control, "r1", 999_000),
		start(control, "r1", 999_000),
		start(control, "r2", 999_500),
		start(rest, "r3", 999_000),
		end(other, "r4", 999_000),
	]);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.same(
		evidence.arms.map(({ arm, exposedUnits }) => [arm, exposedUnits]),
		[
			["boosted", 0],
			["control", 1],
		],
	);
	t.same(evidence.exposures, [
		{
			planVersion: "p1",
			firstMs: 999_000,
			counts: { boosted: 0, control: 1 },
			livePoints: { boosted: 400_000, control: 400_000 },
		},
	]);
	t.equal(evidence.droppedEntries, 0);
	t.equal(rig.meter.counts.get(entries("ignored")), 1, "a start outside of the arms is ignored");
});

t.test(
	"during a holdback new units of the winner's arm and the held-back share are exposed, but no taken-over ones",
	async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const [table] = PLANS.heldBack?.services[0]?.experiments ?? [];
		if (table === undefined) throw new RangeError("the rig has no such plan");
		const { locate } = compileAssignment(table);
		const isTaken = (unit: string) => locate(unit)?.takenOver === true;
		const control = unitsOf("control", 60);
		const [taken = "", held = ""] = [control.find(isTaken), control.find((unit) => !isTaken(unit))];
		const [winner = ""] = unitsOf("boosted", 1);
		const plan = { plan: "heldBack" };
		await rig.send([taken, held, winner].map((unit, index) => start(unit, `r${index}`, 999_000, plan)));
		const { arms, exposures } = await rig.ingest.evidence.evidence(query());
		t.same(
			arms.map(({ arm, exposedUnits }) => [arm, exposedUnits]),
			[
				["boosted", 1],
				["control", 1],
			],
		);
		t.match(exposures, [{ counts: { boosted: 1, control: 1 }, livePoints: { boosted: 400_000, control: 40_000 } }]);
	},
);

t.test("no exposures while promoting", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([start(unit, "r1", 999_000, { plan: "promoting" }), end(unit, "r1", 999_000, { plan: "promoting" })]);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.same(evidence.arms, []);
	t.same(evidence.health, [{ variant: "v1", requests: 1, failures: 0 }]);
});

t.test("a unit seen in two arms is left out, counted, and raises an alarm without its id", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [twice = "", once = ""] = unitsOf("control", 2, "other");
	await rig.send([start(twice, "r1", 999_000), start(once, "r2", 999_000)]);
	t.equal((await rig.ingest.evidence.evidence(query())).conflictingUnits, 0);
	await rig.send([start(twice, "r3", 999_100, { plan: "p2" }), start(twice, "r4", 999_200, { plan: "p2" })]);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.equal(evidence.conflictingUnits, 1);
	t.equal(evidence.arms.find(({ arm }) => arm === "control")?.exposedUnits, 1);
	t.same(
		evidence.exposures.map(({ planVersion, counts }) => [planVersion, counts.control]),
		[["p1", 1]],
	);
	t.equal(rig.meter.counts.get(seriesKey(COUNTERS.conflicts.name, { experiment: "models" })), 1);
	t.equal(rig.lines.filter((line) => /two arms/.test(line)).length, 1);
	t.notMatch(rig.lines.join("\n"), /somebody/);
});

t.test("both arms in one batch are a conflict too", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [twice = ""] = unitsOf("control", 1);
	await rig.send([start(twice, "r1", 999_000), start(twice, "r2", 999_001, { plan: "p2" })]);
	t.equal((await rig.ingest.evidence.evidence(query())).conflictingUnits, 1);
});

t.test("a plan that comes late is waited for; one that never comes is counted as unreadable", async (t) => {
	let asked = 0;
	const rig = await startRig({
		plans: async (version) => {
			if (version !== "p1") return null;
			asked++;
			if (asked < 3) throw new Error("the owner is starting");
			return PLANS.p1 ?? null;
		},
	});
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([
		start(unit, "r1", 999_000),
		end(unit, "r1", 999_000),
		end(unit, "r2", 999_000, { plan: "unknown" }),
		end(unit, "r3", 999_000, { routeName: "weir|p1|other|models" }),
		end(unit, "r4", 999_000, { routeName: "weir|p1|shop|other" }),
		end("not a unit", "r5", 999_000),
		end(unit, "r6", 999_000, { routeName: "not-ours" }),
	]);
	let evidence = await rig.ingest.evidence.evidence(query());
	while (evidence.droppedEntries < 4) {
		await new Promise((resolve) => setTimeout(resolve, 50));
		evidence = await rig.ingest.evidence.evidence(query());
	}
	t.equal(asked, 3);
	t.equal(evidence.arms.find(({ arm }) => arm === "control")?.exposedUnits, 1);
	t.equal(rig.meter.counts.get(entries("unreadable")), 4);
	t.equal(rig.meter.counts.get(entries("foreign")), 1);
	t.equal(rig.meter.counts.get(entries("stored")), 2);
});

t.test("losses from before an experiment's first unit are not its own", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([end("not a unit", "r1", 999_000)]);
	t.equal((await rig.ingest.evidence.evidence(query())).droppedEntries, 1);
	rig.nowMs += 10;
	await rig.send([start(unit, "r2", 1_000_000)]);
	t.equal((await rig.ingest.evidence.evidence(query())).droppedEntries, 0);
});

t.test("health counts ended requests by the cluster that Envoy chose", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [boosted = ""] = unitsOf("boosted", 1);
	await rig.send([
		end(boosted, "r1", 999_000, { cluster: "shop/v2" }),
		end(boosted, "r2", 999_000, { cluster: "shop/v2", status: 503, flag: 2 }),
		end(boosted, "r3", 999_000, { cluster: "shop/v2", status: 200, flag: 15 }),
		end(null, "r4", 999_000, { cluster: "shop/v3", status: 404 }),
		end(null, "r5", 999_000, { status: 500 }),
	]);
	rig.nowMs += 1_000;
	await rig.send([end(null, "r6", 1_000_500, { cluster: "shop/v3" })]);
	const { health } = await rig.ingest.evidence.evidence(query());
	t.same(health, [
		{ variant: "v1", requests: 1, failures: 1 },
		{ variant: "v2", requests: 3, failures: 1 },
		{ variant: "v3", requests: 2, failures: 0 },
	]);
	const later = await rig.ingest.evidence.evidence({ ...query(), healthSinceMs: 1_000_500 });
	t.same(later.health, [{ variant: "v3", requests: 1, failures: 0 }]);
});

t.test("accepted entries survive a graceful restart, and no raw unit is on disk", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("boosted", 1, "very-secret-person");
	await rig.send([start(unit, "r1", 999_000), end(unit, "r1", 999_000)]);
	await rig.restart();
	const evidence = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.equal(evidence.arms.find(({ arm }) => arm === "boosted")?.exposedUnits, 1);
	await rig.send([start(unit, "r2", 999_500)]);
	t.equal((await rig.ingest.evidence.evidence(query())).arms.find(({ arm }) => arm === "boosted")?.exposedUnits, 1);
	const directory = join(rig.directory, "data");
	for (const file of readdirSync(directory)) {
		t.notOk(readFileSync(join(directory, file)).includes("very-secret-person"), file);
	}
	t.equal(armOf(unit), "boosted");
});
