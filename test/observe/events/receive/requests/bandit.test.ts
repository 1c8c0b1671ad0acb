/** Units that count under a bandit: all until the first move, then only the core's. */
import t from "tap";
import { compileAssignment } from "../../../../../src/compile/assignment/assign.js";
import { EXPERIMENT, metric, query, sent, startRig, unitsOf } from "../../rig.js";

const T0 = 1_000_000;
const MOVED = T0 + 2_000;
const { locate } = compileAssignment(EXPERIMENT);

/** Units of an arm on the first 100,000 points of its region, or on the other live ones. */
function units(arm: "control" | "boosted", core: boolean, count: number): readonly string[] {
	const lo = arm === "control" ? 0 : 500_000;
	return unitsOf(arm, 40 * count)
		.filter((unit) => (locate(unit)?.point ?? 0) < lo + 100_000 === core)
		.slice(0, count);
}

t.test("units outside the core count where they were due before the shares moved, and never after", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const asked = query(metric("errors"));
	const look = async (moved: boolean) => {
		const found = await rig.ingest.evidence.evidence(moved ? { ...asked, coreFromMs: MOVED } : asked);
		const of = (name: string) => found.arms.find(({ arm }) => arm === name);
		return {
			closed: ["control", "boosted"].map((arm) => of(arm)?.metrics.errors?.n ?? 0),
			matured: ["control", "boosted"].map((arm) => of(arm)?.maturedUnits ?? 0),
			exposures: found.exposures.map(({ planVersion, counts, livePoints }) => ({ planVersion, counts, livePoints })),
		};
	};
	for (const arm of ["control", "boosted"] as const) {
		const [a = "", b = "", c = ""] = units(arm, true, 3);
		const [p = "", q = "", r = ""] = units(arm, false, 3);
		for (const unit of [a, p]) await rig.send(sent(unit, "bandit", T0));
		// Open when the shares move: of the core, and not.
		for (const unit of [b, q]) await rig.send(sent(unit, "bandit", T0 + 1_400));
		for (const unit of [c, r, p]) await rig.send(sent(unit, "banditMoved", T0 + 2_500));
	}
	rig.nowMs = T0 + 1_600;
	t.same((await look(false)).closed, [2, 2], "before the move all count");
	const exposures = [
		{
			planVersion: "bandit",
			counts: { boosted: 4, control: 4 },
			livePoints: { boosted: 400_000, control: 400_000 },
		},
		{
			planVersion: "banditMoved",
			counts: { boosted: 1, control: 1 },
			livePoints: { boosted: 100_000, control: 100_000 },
		},
	];
	for (const round of ["first", "again", "after a restart"]) {
		rig.nowMs = T0 + 10_000;
		const { closed, matured, ...rest } = await look(true);
		t.same(closed, [4, 4], `${round}: what was due, and the core`);
		t.same(matured, closed);
		t.same(rest.exposures, exposures, "the sample ratio is that of what counts");
		if (round === "again") await rig.restart();
	}
	// A unit in two arms: its part is computed anew, from the same units.
	const [twice = ""] = units("control", true, 1);
	await rig.send(sent(twice, "p2", T0 + 3_000));
	t.same((await look(true)).closed, [3, 4]);
});
