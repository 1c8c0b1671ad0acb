/** A full disk: waiting senders get an error, `weir status` an alarm, the log a line a minute, and nothing is lost. */
import t from "tap";
import { unwrittenEvents } from "../../../../src/cli/roles/unwrittenAlarms.js";
import { Lane } from "../../../../src/observe/events/store/store.js";
import { createMeter } from "../../../../src/observe/telemetry/meter.js";
import { startRig, unitsOf } from "../rig.js";

const DISK_FULL = "no space left on the disk";
const IO_ERROR = 'IO Error: Could not write file "/data/events.duckdb.wal": No space left on device';

/** Whatever is written; questions read on. */
function fillDisk(t: { teardown(end: () => void): unknown }): () => void {
	const { transaction } = Lane.prototype;
	Lane.prototype.transaction = function (work) {
		return transaction.call(this, async (one) => {
			const result = await work(one);
			if (Reflect.get(this, "begin") === "BEGIN TRANSACTION") throw new Error(IO_ERROR);
			return result;
		}) as ReturnType<typeof work>;
	};
	const free = (): void => {
		Lane.prototype.transaction = transaction;
	};
	t.teardown(free);
	return free;
}

t.test("a failed write is logged and raises an alarm", async (t) => {
	const meter = createMeter({ role: "ingest" });
	const rig = await startRig({ meter });
	t.teardown(() => rig.close());
	const alarms = async (afterMs = 0) => unwrittenEvents(await meter.json(), rig.nowMs + afterMs);
	const post = () => rig.post({ metric: "revenue", unit: "user-1", value: 1, time: rig.nowMs });
	const audit = () => rig.call("GET", "/v1/requests", "");
	t.same(await alarms(), []);
	t.match(await audit(), { status: 200 });
	const free = fillDisk(t);
	const [unit = ""] = unitsOf("boosted", 1);
	const denied = { status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" };
	await rig.send([{ kind: "end", unit, requestId: "r", startMs: rig.nowMs, ...denied }]);
	for (let round = 0; round < 3; round++) {
		t.match(await post(), {
			status: 503,
			json: { error: { message: `the event store did not take the outcomes: ${DISK_FULL}` } },
		});
		await t.rejects(rig.ingest.maintain(), {
			code: "unavailable",
			message: `the event store did not take the access-log entries: ${DISK_FULL}`,
		});
	}
	t.match(await audit(), {
		status: 503,
		json: {
			error: { code: "unavailable", message: `the event store did not take the access records: ${DISK_FULL}` },
		},
	});
	t.match(await alarms(), [
		{ gateway: "", alarm: "events-unwritten", why: /access-log entries.*no space left on the disk$/ },
	]);
	t.match(await alarms(), [{ why: /access records/ }]);
	t.match(await alarms(), [{ why: /outcomes/ }]);
	t.same(await alarms(60_000), [], "the alarm ends even if outcomes are not sent again");
	for (const what of ["access-log entries", "access records", "outcomes"])
		t.equal(rig.lines.filter((line) => line.includes(`${what} could not be committed`)).length, 1, "one line a minute");
	t.notMatch(rig.lines.join(), /a request failed/);
	free();
	t.match(await post(), { status: 200 });
	await rig.ingest.maintain();
	const { status, json } = await audit();
	t.equal(status, 200);
	t.match(JSON.stringify(json), /"status":403/, "what waited is there");
	t.same(await alarms(), []);
});
