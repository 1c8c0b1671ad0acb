/** Observations that count during a takeover and in a holdback. */
import t from "tap";
import { compileAssignment } from "../../../../src/compile/assignment/assign.js";
import type { EvidenceQuery } from "../../../../src/infer/statistics/evidence.js";
import { EXPERIMENT, metric, query, sent, startRig, unitsOf } from "../rig.js";

const T0 = 1_000_000;
const TAKEOVER = T0 + 2_000;
const HELD = T0 + 5_000;
const ARMS = ["boosted", "control"] as const;
const { locate } = compileAssignment(EXPERIMENT);

/** Units of an arm whose points the winner never takes: in the baseline the last tenth of the live ones. */
function kept(arm: (typeof ARMS)[number], count: number): readonly string[] {
	return unitsOf(arm, 60 * count)
		.filter((unit) => arm === "boosted" || (locate(unit)?.point ?? 0) >= 360_000)
		.slice(0, count);
}

t.test("windows open at a takeover never count; a holdback counts only its own units", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const look = async (since: Pick<EvidenceQuery, "closeUntilMs" | "exposedAfterMs">) => {
		const found = await rig.ingest.evidence.evidence({ ...query(metric("accuracy"), metric("errors")), ...since });
		const of = (name: string) => found.arms.find(({ arm }) => arm === name);
		return {
			errors: ARMS.map((arm) => of(arm)?.metrics.errors?.n ?? 0),
			accuracy: ARMS.map((arm) => of(arm)?.metrics.accuracy?.mean ?? null),
			matured: ARMS.map((arm) => of(arm)?.maturedUnits ?? 0),
			exposed: ARMS.map((arm) => of(arm)?.exposedUnits ?? 0),
			byPeriod: found.periods.flatMap(({ arms }) => arms.map(({ metrics }) => metrics.errors?.n ?? 0)),
			exposures: found.exposures.map(({ counts, livePoints }) => ({ counts, livePoints })),
		};
	};
	const post = (unit: string, value: number, eventMs: number) =>
		rig.post({ outcomes: [{ metric: "accuracy", unit, value, time: new Date(eventMs).toISOString() }] });
	for (const arm of ARMS) {
		const [early = "", open = ""] = kept(arm, 2);
		await rig.send(sent(early, "p1", T0));
		await rig.send(sent(open, "p1", TAKEOVER - 700));
		t.equal((await post(early, 1, T0 + 100)).status, 200);
	}
	rig.nowMs = TAKEOVER - 100;
	t.match(await look({}), { errors: [1, 1], accuracy: [1, 1], exposed: [2, 2] });
	// Under the taker's version by now, and the label is still the baseline's.
	for (const arm of ARMS) await post(kept(arm, 2)[1] ?? "", 0, TAKEOVER + 200);
	const before = {
		...{ errors: [1, 1], accuracy: [1, 1], matured: [1, 1], exposed: [2, 2], byPeriod: [1, 1] },
		exposures: [{ counts: { boosted: 2, control: 2 }, livePoints: { boosted: 400_000, control: 400_000 } }],
	};
	rig.nowMs = TAKEOVER + 2_000;
	t.same(await look({ closeUntilMs: TAKEOVER }), before);
	rig.nowMs = HELD + 100;
	t.match(await look({ exposedAfterMs: HELD }), { errors: [0, 0], exposed: [0, 0], exposures: [] });
	for (const arm of ARMS) {
		const [early = "", open = "", ...fresh] = kept(arm, arm === "boosted" ? 6 : 3);
		for (const unit of [early, open, ...fresh]) await rig.send(sent(unit, "heldBack", HELD + 200));
		await post(fresh[0] ?? "", 0, HELD + 300);
	}
	const own = {
		...{ errors: [4, 1], accuracy: [0, 0], matured: [4, 1], exposed: [4, 1], byPeriod: [4, 1] },
		exposures: [{ counts: { boosted: 4, control: 1 }, livePoints: { boosted: 400_000, control: 40_000 } }],
	};
	rig.nowMs = HELD + 3_000;
	const asked = JSON.stringify({ ...query(metric("errors")), exposedAfterMs: HELD });
	const { status, json } = await rig.call("POST", "/evidence", asked);
	t.match(
		{ status, json },
		{ status: 200, json: { arms: [{ exposedUnits: 4 }, { exposedUnits: 1 }] } },
		"by the socket",
	);
	t.same(await look({ exposedAfterMs: HELD }), own);
	t.same(await look({ exposedAfterMs: HELD }), own, "again");
	await rig.restart();
	t.same(await look({ exposedAfterMs: HELD }), own, "after a restart");
	t.same(await look({ closeUntilMs: TAKEOVER }), before, "after its end: the numbers of the promotion");
	// A unit in two arms: its part is computed anew, from the same units.
	await rig.send(sent(kept("boosted", 6)[5] ?? "", "p2", HELD + 3_100));
	t.match(await look({ exposedAfterMs: HELD }), { errors: [3, 1], exposed: [3, 1] });
	t.same(await look({ closeUntilMs: TAKEOVER }), before);
	// Who was there before it, in two arms or by hand, is left out of the numbers before it.
	await rig.send(sent(kept("boosted", 6)[0] ?? "", "p2", HELD + 3_200));
	const leftOut = async (since: Pick<EvidenceQuery, "exposedAfterMs">) => {
		const { conflictingUnits, forcedUnits } = await rig.ingest.evidence.evidence({ ...query(), ...since });
		return { conflictingUnits, forcedUnits };
	};
	t.same(await leftOut({}), { conflictingUnits: 2, forcedUnits: 0 });
	t.same(await leftOut({ exposedAfterMs: HELD }), { conflictingUnits: 1, forcedUnits: 0 });
	t.same(await leftOut({ exposedAfterMs: HELD + 10_000 }), { conflictingUnits: 0, forcedUnits: 0 });
});
