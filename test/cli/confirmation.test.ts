/** A process that stood still answers when control has said anew which table is the newest; a control that is away says nothing. */
import { setImmediate as immediate } from "node:timers/promises";
import t from "tap";
import { Confirmation } from "../../src/cli/sidecar/confirmation.js";
import { TURN_EVERY_MS } from "../../src/cli/sidecar/lateness.js";
import { SIDECAR_STOOD_STILL_MS, TABLE_CONTROL_FIRST_MS } from "../../src/limits.js";
import { Tables } from "../../src/sidecar/tables.js";
import { compile } from "../sidecar/feedScene.js";
import { LogLines, tableOf } from "../sidecar/sampleTable.js";

function scene() {
	const at = { wallMs: 1_000_000, monotonicMs: 5_000 };
	const clock = { wallMs: () => at.wallMs, monotonicMs: () => at.monotonicMs };
	const tables = new Tables({ compile, clock });
	tables.put(tableOf(1));
	tables.confirm();
	const log = new LogLines();
	const confirmation = new Confirmation(tables, { log, clock });
	const asked: number[] = [];
	let silentSinceMs: number | null = at.monotonicMs;
	const control = {
		get silentMs() {
			return silentSinceMs === null ? 0 : at.monotonicMs - silentSinceMs;
		},
		askAnew: (ageMs: number): void => {
			asked.push(ageMs);
			tables.atLeast(ageMs);
			silentSinceMs = at.monotonicMs;
		},
		begins: (): void => {
			silentSinceMs = null;
		},
		/** And is asked by another call. */
		ends: (): void => {
			silentSinceMs ??= at.monotonicMs;
		},
	};
	confirmation.follow(control);
	const passes = (ms: number): void => {
		at.wallMs += ms;
		at.monotonicMs += ms;
	};
	/** As time goes by where nothing keeps the loop. */
	const turns = async (ms: number, everyMs = TURN_EVERY_MS): Promise<void> => {
		for (let passed = 0; passed < ms; passed += everyMs) {
			passes(everyMs);
			confirmation.turned();
			await immediate();
		}
	};
	return { at, tables, log, confirmation, control, asked, passes, turns };
}

t.test("what a full machine costs is no standstill", async (t) => {
	const { confirmation, asked, passes } = scene();
	for (let turn = 0; turn < 1_000; turn++) {
		passes(turn % 10 === 0 ? SIDECAR_STOOD_STILL_MS : TURN_EVERY_MS);
		t.equal(confirmation.ageMs(), 0);
		confirmation.turned();
	}
	t.same(asked, []);
	confirmation.close();
});

t.test("after a standstill, a suspend too, only what control says after it counts", async (t) => {
	for (const suspended of [false, true]) {
		const { at, tables, confirmation, asked, passes, log } = scene();
		if (suspended) at.wallMs += 60_000;
		else passes(60_000);
		t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY);
		t.ok(confirmation.isLate);
		confirmation.turned();
		passes(1_000);
		t.same(asked, [60_000], "it is asked once");
		t.equal(tables.ageMs(), 61_000, "and the table is as old as may be");
		tables.confirm();
		t.equal(confirmation.ageMs(), 0);
		t.equal(log.lines.length, 1);
		confirmation.close();
	}
});

t.test("who stands still again while control is asked asks again", async (t) => {
	const { tables, confirmation, asked, passes } = scene();
	passes(4_000);
	t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY);
	passes(5_000);
	tables.confirm();
	t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY, "what was said lay there");
	t.same(asked, [4_000, 5_000]);
	tables.confirm();
	t.equal(confirmation.ageMs(), 0);
	confirmation.close();
});

t.test("where control says nothing the last table stays, as old as it is", async (t) => {
	const { confirmation, passes, turns } = scene();
	passes(4_000);
	t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY);
	await turns(TABLE_CONTROL_FIRST_MS - TURN_EVERY_MS);
	t.ok(confirmation.isLate);
	await turns(TURN_EVERY_MS);
	t.equal(confirmation.ageMs(), 4_000 + TABLE_CONTROL_FIRST_MS);
	confirmation.close();
});

t.test(
	"the last table is no younger than was known, where its end was read before the standstill was noticed",
	async (t) => {
		const { tables, confirmation, passes, turns } = scene();
		passes(60_000);
		tables.lapse();
		await turns(TABLE_CONTROL_FIRST_MS + TURN_EVERY_MS);
		t.notOk(confirmation.isLate);
		t.ok(confirmation.ageMs() >= 60_000);
		passes(4_000);
		await turns(TABLE_CONTROL_FIRST_MS + TURN_EVERY_MS);
		t.ok(confirmation.ageMs() >= 64_000, "a second standstill makes it no younger either");
		confirmation.close();
	},
);

t.test("control that has begun to answer is not away, however long that takes", async (t) => {
	const { tables, confirmation, control, passes, turns } = scene();
	passes(4_000);
	await turns(TABLE_CONTROL_FIRST_MS - TURN_EVERY_MS);
	control.begins();
	await turns(60_000);
	t.ok(confirmation.isLate);
	control.ends();
	await turns(SIDECAR_STOOD_STILL_MS, SIDECAR_STOOD_STILL_MS);
	t.ok(confirmation.isLate, "a loop that turned once has not heard what it says next");
	control.begins();
	control.ends();
	await turns(TABLE_CONTROL_FIRST_MS - TURN_EVERY_MS);
	t.ok(confirmation.isLate, "one that is gone before it has said it has its chance anew");
	await turns(TURN_EVERY_MS);
	t.notOk(confirmation.isLate);
	passes(4_000);
	confirmation.turned();
	control.begins();
	await turns(60_000);
	tables.confirm();
	t.equal(confirmation.ageMs(), 0);
	confirmation.close();
});

t.test("only time in which the loop turns is control's chance", async (t) => {
	const { confirmation, control, asked, passes, turns } = scene();
	const almost = TABLE_CONTROL_FIRST_MS - TURN_EVERY_MS;
	passes(4_000);
	t.ok(confirmation.isLate);
	await turns(almost);
	passes(SIDECAR_STOOD_STILL_MS);
	confirmation.turned();
	t.ok(confirmation.isLate, "what it said may lie there, until the loop has read it");
	control.begins();
	await immediate();
	t.ok(confirmation.isLate, "and so it was");
	control.ends();
	t.equal(asked.length, 1);
	passes(4_000);
	await turns(almost);
	t.ok(confirmation.isLate, "after another standstill it begins anew");
	t.equal(asked.length, 2);
	await turns(2 * TURN_EVERY_MS);
	t.notOk(confirmation.isLate);
	confirmation.close();
});

t.test("a loop that turns slowly finds out all the same that control is away", async (t) => {
	for (const everyMs of [501, 1_000, SIDECAR_STOOD_STILL_MS]) {
		const { confirmation, passes, turns } = scene();
		passes(4_000);
		await turns(8 * everyMs, everyMs);
		t.ok(confirmation.isLate);
		await turns(everyMs, everyMs);
		t.notOk(confirmation.isLate, `${everyMs} ms`);
		confirmation.close();
	}
});

t.test("a clock that is set back does not hide that control has answered", async (t) => {
	const { at, tables, confirmation } = scene();
	at.wallMs += 3_600_000;
	t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY);
	at.wallMs -= 3_600_000;
	tables.confirm();
	t.equal(confirmation.ageMs(), 0);
	confirmation.close();
});

t.test("where no control is followed no standstill matters", async (t) => {
	const at = { ms: 0 };
	const clock = { wallMs: () => at.ms, monotonicMs: () => at.ms };
	const tables = new Tables({ compile, clock });
	const confirmation = new Confirmation(tables, { log: new LogLines(), clock });
	tables.put(tableOf(1));
	tables.confirm();
	at.ms = 60_000;
	confirmation.turned();
	t.equal(confirmation.ageMs(), 0);
});
