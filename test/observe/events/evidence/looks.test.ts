/** A look without new entries is cheap, and no look misses a new one. */
import t, { type Test } from "tap";
import type { EvidenceQuery } from "../../../../src/infer/statistics/evidence.js";
import { RESOURCES_MAX } from "../../../../src/limits/index.js";
import { Looks, queryKey } from "../../../../src/observe/events/evidence/looks.js";
import { Transaction } from "../../../../src/observe/events/store/store.js";
import { metric, query, type Rig, startRig, unitsOf } from "../rig.js";

const T0 = 1_000_000;
const P99 = { thresholdMs: 100, baseline: { arm: "control", thresholdMs: 50 }, frozenAtMs: T0 - 1 };
const ASKED = query(metric("errors"), metric("accuracy"), metric("revenue"), metric("p99", { threshold: P99 }));

/** Statements of all lanes from now on. */
function counted(t: Test): { reads: number; writes: number } {
	const statements = { reads: 0, writes: 0 };
	const { run, rows } = Transaction.prototype;
	Transaction.prototype.run = function (...given) {
		statements.writes++;
		return run.apply(this, given);
	};
	Transaction.prototype.rows = function (...given) {
		statements.reads++;
		return rows.apply(this, given);
	};
	t.teardown(() => Object.assign(Transaction.prototype, { run, rows }));
	return statements;
}

async function come(rig: Rig, units: readonly string[], startMs: number, durationMs = 10): Promise<void> {
	await rig.send(units.map((unit) => ({ kind: "start", unit, requestId: `${unit}-${startMs}`, startMs })));
	await rig.send(units.map((unit) => ({ kind: "end", unit, requestId: `${unit}-${startMs}`, startMs, durationMs })));
}

t.test("a look without new entries makes five queries, writes nothing and has the same result", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const look = (asked: EvidenceQuery = ASKED) => rig.ingest.evidence.evidence(asked);
	const units = [...unitsOf("control", 20), ...unitsOf("boosted", 20)];
	await come(rig, units, T0);
	await rig.post(units.map((unit) => ({ metric: "accuracy", value: 1, unit, time: T0 + 10 })));
	rig.nowMs = T0 + 5_000;
	const first = await look();
	t.match(first.arms[0]?.metrics, { errors: { n: 20 }, accuracy: { n: 20 }, p99: { n: 20 } });
	await look();
	const statements = counted(t);
	rig.nowMs += 60_000;
	const again = await look({ ...ASKED, healthSinceMs: T0 });
	t.same(statements, { reads: 5, writes: 0 });
	t.same(again, { ...first, asOfMs: rig.nowMs });
	t.same(Object.keys(again).sort(), Object.keys(first).sort());
	await look({ ...ASKED, segments: ["country"] });
	t.ok(statements.writes > 0, "another question is a whole look");
});

t.test("the next look sees entries that arrived, fell due, were in two arms or got lost", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const look = async () => {
		const evidence = await rig.ingest.evidence.evidence(ASKED);
		const { arms, conflictingUnits, health } = evidence;
		const control = arms.find(({ arm }) => arm === "control");
		const requests = health.reduce((sum, variant) => sum + variant.requests, 0);
		return [control?.exposedUnits, control?.metrics.errors?.n ?? 0, conflictingUnits, requests];
	};
	const [a = "", b = ""] = unitsOf("control", 2);
	rig.nowMs = T0;
	await come(rig, [a], T0);
	for (let times = 0; times < 3; times++) t.same(await look(), [1, 0, 0, 1], "not due yet");
	rig.nowMs = T0 + 1_500;
	t.same(await look(), [1, 0, 0, 1], "not yet at the due time itself");
	rig.nowMs = T0 + 1_501;
	t.same(await look(), [1, 1, 0, 1], "due");
	for (let times = 0; times < 3; times++) t.same(await look(), [1, 1, 0, 1]);
	await come(rig, [b], T0 + 1_501);
	t.same(await look(), [2, 1, 0, 2], "another unit, and its request");
	for (let times = 0; times < 3; times++) t.same(await look(), [2, 1, 0, 2]);
	rig.nowMs = T0 + 1_400;
	t.same(await look(), [2, 1, 0, 2], "the clock goes back");
	rig.nowMs = T0 + 10_000;
	t.same(await look(), [2, 2, 0, 2]);
	for (let times = 0; times < 3; times++) t.same(await look(), [2, 2, 0, 2]);
	await rig.send([{ kind: "start", unit: a, requestId: "other", startMs: T0 + 9_000, plan: "p2" }]);
	t.same(await look(), [1, 1, 1, 2], "seen in the other arm");
});

t.test("units that never count cause no look: those open at a takeover, those from before a holdback", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const statements = counted(t);
	await come(rig, unitsOf("control", 3), T0);
	for (const since of [{ closeUntilMs: T0 + 900 }, { exposedAfterMs: T0 + 900 }]) {
		const look = () => rig.ingest.evidence.evidence({ ...ASKED, ...since });
		rig.nowMs = T0 + 1_000;
		for (let times = 0; times < 3; times++) await look();
		statements.writes = 0;
		rig.nowMs = T0 + 60_000;
		t.match(await look(), { arms: [{}, {}] });
		t.equal(statements.writes, 0, JSON.stringify(since));
	}
});

t.test("the largest number of Experiments is looked at in turn, and none is recounted in full", async (t) => {
	const looks = new Looks();
	const rig = await startRig();
	t.teardown(() => rig.close());
	const evidence = await rig.ingest.evidence.evidence(ASKED);
	const names = Array.from({ length: RESOURCES_MAX }, (_, at) => `e${at}`);
	const of = (experiment: string): EvidenceQuery => ({ ...ASKED, experiment });
	for (const experiment of names) {
		const seen = { unit: 0, conflict: 0, points: 0, nextDueMs: null, lossesSinceMs: null };
		looks.keep({ asked: queryKey(of(experiment)), atMs: 1, ...seen, evidence: { ...evidence, experiment } });
		looks.looked(experiment, 1);
	}
	t.same(
		names.filter((experiment) => looks.last(of(experiment), 1) === null || looks.lookedMs(experiment) === null),
		[],
	);
});
