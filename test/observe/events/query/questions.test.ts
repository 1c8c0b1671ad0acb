/** Commits of the access record log and queries of its readers do not wait for each other. */
import t from "tap";
import {
	answerAccessRecords,
	answerShadow,
	parseAccessRecordQuery,
} from "../../../../src/observe/events/query/accessRecordQuery.js";
import { outlineOf } from "../../../../src/observe/events/query/account.js";
import { NOTHING_ELSE } from "../../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { AccessRecords } from "../../../../src/observe/events/receive/accessRecords/accessRecords.js";
import { type Lane, openEventStore } from "../../../../src/observe/events/store/store.js";
import { temporaryDirectory } from "../../../operate/employment.js";
import { TestMeter } from "../rig.js";

t.setTimeout(60_000);

/** Runs `meanwhile` while a transaction of the lane is under way, which has looked into the log. */
async function holding(lane: Lane, meanwhile: () => Promise<void>): Promise<void> {
	let release = (): void => undefined;
	const released = new Promise<void>((resolve) => {
		release = resolve;
	});
	let begun = (): void => undefined;
	const underWay = new Promise<void>((resolve) => {
		begun = resolve;
	});
	const held = lane.transaction(async (transaction) => {
		await transaction.rows("SELECT count(*) FROM decisions");
		begun();
		await released;
	});
	await underWay;
	try {
		await meanwhile();
	} finally {
		release();
		await held;
	}
}

t.test("commits do not wait for queries, nor queries for a commit or evidence", async (t) => {
	const store = await openEventStore(temporaryDirectory(t));
	t.teardown(() => store.close());
	const quiet = (): void => undefined;
	const log = new AccessRecords({
		store,
		clock: () => 1_000,
		meter: new TestMeter(),
		log: { info: quiet, warn: quiet, error: quiet },
		allowedPpm: 0,
	});
	const record = (): void =>
		log.queue.refused({
			...NOTHING_ELSE,
			kind: "stream-refused",
			atMs: 1_000,
			verdict: "deny",
			reason: "no-certificate",
		});
	const records = async (): Promise<number> =>
		(await answerAccessRecords(store, parseAccessRecordQuery(new URLSearchParams(), null))).decisions.length;
	await holding(store.questions, async () => {
		record();
		await log.queue.flush();
	});
	t.equal(await records(), 1);
	for (const lane of [store.accessRecords, store.analysis]) {
		await holding(lane, async () => {
			t.equal(await records(), 1);
			const shadows = parseAccessRecordQuery(new URLSearchParams("view=shadow"), null);
			t.match(await answerShadow(store, shadows, new Map()), { changes: [] });
			t.equal(await outlineOf(store, "unknown"), null);
		});
	}
	await t.rejects(
		store.questions.transaction((transaction) => transaction.run("DELETE FROM decisions")),
		/read-only/,
		"no question writes",
	);
	t.equal(await records(), 1);
});
