/** Entries that Envoy dropped: the data are incomplete, and requests of that time give no harm verdict. */
import t from "tap";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import { metric, query, seriesKey, startRig, unitsOf } from "../../rig.js";

const T0 = 1_000_000;
const MINUTE = 60_000;

t.test("requests logged in the minute before lost entries, or soon after, are left out", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [before = "", heard = "", unheard = "", within = "", behind = "", after = ""] = unitsOf("control", 6);
	const send = async (unit: string, atMs: number, ...kinds: readonly ("start" | "end")[]): Promise<void> => {
		rig.nowMs = atMs;
		await rig.send(kinds.map((kind) => ({ kind, unit, requestId: unit, startMs: atMs })));
	};
	await send(before, T0, "start");
	await send(heard, T0 + 1, "start", "end");
	await send(unheard, T0 + 2, "start");
	// Envoy's admin was unreachable for three minutes.
	await send(within, T0 + 2.5 * MINUTE, "start", "end");
	rig.nowMs = T0 + 4 * MINUTE;
	rig.ingest.undelivered(7, T0 + MINUTE);
	await rig.ingest.maintain();
	await send(behind, T0 + 4 * MINUTE + 10_000, "start", "end");
	await send(after, T0 + 4 * MINUTE + 10_001, "start", "end");
	rig.nowMs += 10_000;
	const look = () => rig.ingest.evidence.evidence(query(metric("errors", { windowMs: 2_000 })));
	const { arms, droppedEntries } = await look();
	t.match(arms, [
		{ arm: "boosted", exposedUnits: 0 },
		{ arm: "control", exposedUnits: 6, maturedUnits: 6 },
	]);
	t.match(arms[1]?.metrics.errors, { n: 2, mean: 0.5 }, "one before that has failed, and one after");
	t.equal(droppedEntries, 7);
	t.equal(rig.meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "undelivered" })), 7);
	await rig.restart();
	t.equal((await look()).droppedEntries, 7, "and it is kept");
});
