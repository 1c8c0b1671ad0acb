/** A process that stood still answers when control has said anew which table is the newest; a control that is away says nothing. */
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { Confirmation } from "../../src/cli/sidecar/confirmation.js";
import { TURN_EVERY_MS } from "../../src/cli/sidecar/lateness.js";
import { SIDECAR_STOOD_STILL_MS } from "../../src/limits.js";
import { Tables } from "../../src/sidecar/tables.js";
import { compile } from "../sidecar/feedScene.js";
import { LogLines, tableOf } from "../sidecar/sampleTable.js";

const FOREVER = 2 ** 30;

function scene(controlFirstMs = FOREVER) {
	const at = { wallMs: 1_000_000, monotonicMs: 5_000 };
	const clock = { wallMs: () => at.wallMs, monotonicMs: () => at.monotonicMs };
	const tables = new Tables({ compile, clock });
	tables.put(tableOf(1));
	tables.confirm();
	const log = new LogLines();
	const confirmation = new Confirmation(tables, { log, clock, controlFirstMs });
	const asked: number[] = [];
	confirmation.follow((ageMs) => {
		asked.push(ageMs);
		tables.lapse(ageMs);
	});
	const passes = (ms: number): void => {
		at.wallMs += ms;
		at.monotonicMs += ms;
	};
	return { at, tables, log, confirmation, asked, passes };
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
	const { confirmation, passes } = scene(20);
	// The timer that is awaited is no reason for the process to live.
	const alive = setInterval(() => {}, 1_000);
	passes(4_000);
	t.equal(confirmation.ageMs(), Number.POSITIVE_INFINITY);
	while (confirmation.isLate) await pause(5);
	t.equal(confirmation.ageMs(), 4_000);
	clearInterval(alive);
	confirmation.close();
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
