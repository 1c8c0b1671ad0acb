/**
 * Who stood still, and the feed by which it asks control, together: how long it waits for a control that is away, hangs, or begins to
 * answer and is gone. The feed's calls are real ones; time passes, and its pauses end, as the test says.
 */
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { Confirmation } from "../../src/cli/sidecar/confirmation.js";
import { TURN_EVERY_MS } from "../../src/cli/sidecar/lateness.js";
import type { DiscoveryRequest, DiscoveryResponse } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { tableJson } from "../../src/sidecar/tableReader.js";
import { Tables } from "../../src/sidecar/tables.js";
import { compile, folderOf, offer, serves, startControl, startFeed } from "../sidecar/feedScene.js";
import { LogLines, tableOf } from "../sidecar/sampleTable.js";

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

interface Pause {
	readonly ms: number;
	readonly end: () => void;
}

/** What comes one after the other is waited for one after the other. */
function queue<Item>() {
	const come: Item[] = [];
	const waits: ((item: Item) => void)[] = [];
	return {
		put: (item: Item): void => {
			const wait = waits.shift();
			if (wait === undefined) come.push(item);
			else wait(item);
		},
		next: async (): Promise<Item> => come.shift() ?? new Promise((resolve) => waits.push(resolve)),
	};
}

/** A sidecar that answers by table 1, and has stood still for 4 s; control is not there before it is started. */
async function scene(t: Test, { pauseMs = 2_000 } = {}) {
	const socketPath = join(await folderOf(t), "ads.sock");
	let nowMs = 1_000_000;
	t.intercept(performance, "now", { value: () => nowMs });
	const pauses = queue<Pause>();
	const timer = setTimeout;
	let isDrawn = false;
	// The timer that is set when a number was drawn is the pause.
	t.intercept(globalThis, "setTimeout", {
		value: (run: () => void, ms?: number) => {
			if (!isDrawn) return timer(run, ms);
			isDrawn = false;
			pauses.put({ ms: ms ?? 0, end: run });
			return timer(() => {}, 0);
		},
	});
	const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
	const tables = new Tables({ compile, clock });
	tables.put(tableOf(1));
	tables.confirm();
	const { feed } = startFeed(t, socketPath, {
		tables,
		retryMs: { first: pauseMs, max: pauseMs },
		random: () => {
			isDrawn = true;
			return 1;
		},
	});
	const confirmation = new Confirmation(tables, { log: new LogLines(), clock });
	t.teardown(() => confirmation.close());
	confirmation.follow(feed);
	const calls = queue<Call>();
	/** @returns whether it is late all the while. */
	const turns = async (ms: number): Promise<boolean> => {
		let isLate = confirmation.isLate;
		for (let leftMs = ms; leftMs > 0; leftMs -= TURN_EVERY_MS) {
			nowMs += Math.min(leftMs, TURN_EVERY_MS);
			confirmation.turned();
			await immediate();
			isLate &&= confirmation.isLate;
		}
		return isLate;
	};
	const standsStill = (): void => {
		nowMs += 4_000;
		t.ok(confirmation.isLate);
	};
	return {
		...{ tables, confirmation, turns, standsStill },
		startControl: (): Promise<void> => startControl(t, socketPath, calls.put),
		nextCall: calls.next,
		nextPause: pauses.next,
		nowMs: (): number => nowMs,
		silentMs: (): number => feed.silentMs,
		/** By a call that stays open. */
		begins: async (call: Call): Promise<void> => {
			call.sendMetadata(new Metadata());
			// Nothing tells when the feed has read that it begins.
			while (feed.silentMs > 0) await new Promise((resolve) => timer(resolve, 5));
		},
		/** It begins, and is gone at once. */
		beginsAndIsGone: (call: Call): void => {
			call.sendMetadata(new Metadata());
			call.end();
		},
		says: (call: Call, number: number): void => {
			const { version, table } = tableOf(number);
			call.write(offer("1", version, tableJson(table)));
		},
	};
}

t.test("a control that begins between two turns has begun, however often it is gone", async (t) => {
	const { tables, confirmation, turns, standsStill, ...control } = await scene(t);
	await control.startControl();
	const before = await control.nextCall();
	standsStill();
	control.says(before, 2);
	for (let round = 0; round < 20; round++) {
		const call = await control.nextCall();
		t.ok(await turns(1_250), "it is slow to begin");
		control.beginsAndIsGone(call);
		(await control.nextPause()).end();
	}
	const call = await control.nextCall();
	t.ok(await turns(1_250));
	control.says(call, 3);
	await serves(tables, tableOf(3));
	t.notOk(confirmation.isLate);
});

t.test("what the sidecar pauses after control has begun is no silence of control's", async (t) => {
	const { tables, confirmation, turns, standsStill, ...control } = await scene(t);
	await control.startControl();
	await control.nextCall();
	standsStill();
	for (let round = 0; round < 8; round++) {
		const call = await control.nextCall();
		t.ok(await turns(1_000));
		control.beginsAndIsGone(call);
		const { ms, end } = await control.nextPause();
		t.equal(ms, 2_000, "one that answers and is gone at once is not asked as if it were well");
		t.ok(await turns(ms));
		end();
	}
	control.says(await control.nextCall(), 2);
	await serves(tables, tableOf(2));
	t.notOk(confirmation.isLate);
});

t.test("a control that is not there is asked every quarter of a second, for 2 s", async (t) => {
	const { confirmation, turns, standsStill, ...control } = await scene(t);
	// Of the call before.
	await control.nextPause();
	standsStill();
	const sinceMs = control.nowMs();
	while (confirmation.isLate) {
		const { ms, end } = await control.nextPause();
		t.ok(ms <= 250);
		await turns(ms);
		end();
	}
	const waitedMs = control.nowMs() - sinceMs;
	t.ok(waitedMs >= 2_000 && waitedMs <= 2_500, `${waitedMs} ms`);
	// Whoever waited for it does so no more.
	t.equal((await control.nextPause()).ms, 2_000);
});

t.test("one that is there before the 2 s are over is heard", async (t) => {
	const { tables, confirmation, turns, standsStill, ...control } = await scene(t);
	await control.nextPause();
	standsStill();
	for (let awayMs = 0; awayMs < 1_500; ) {
		const { ms, end } = await control.nextPause();
		t.ok(await turns(ms));
		awayMs += ms;
		if (awayMs >= 1_500) await control.startControl();
		end();
	}
	const call = await control.nextCall();
	t.ok(await turns(250));
	await control.begins(call);
	t.ok(await turns(60_000), "however long the rest takes");
	control.says(call, 2);
	await serves(tables, tableOf(2));
	t.notOk(confirmation.isLate);
});

t.test("one that hangs is waited for 2 s, whether it has begun before or not", async (t) => {
	for (const begins of [true, false]) {
		await t.test(begins ? "begun" : "not", async (t) => {
			const { confirmation, turns, standsStill, ...control } = await scene(t);
			await control.startControl();
			await control.nextCall();
			standsStill();
			const call = await control.nextCall();
			if (begins) {
				t.ok(await turns(1_750));
				control.beginsAndIsGone(call);
				const { ms, end } = await control.nextPause();
				t.ok(await turns(ms));
				end();
				await control.nextCall();
			}
			t.ok(await turns(1_750));
			await turns(500);
			t.notOk(confirmation.isLate);
		});
	}
});

/** Control has begun to answer what it was asked after a standstill, and takes its time. */
async function begun(t: Test) {
	const { standsStill, ...made } = await scene(t);
	await made.startControl();
	await made.nextCall();
	standsStill();
	const call = await made.nextCall();
	await made.begins(call);
	t.ok(await made.turns(60_000));
	return { ...made, call };
}

t.test("one whose table cannot be read has said nothing", async (t) => {
	const { confirmation, turns, call } = await begun(t);
	const rejections = queue<DiscoveryRequest>();
	call.on("data", (said) => said.errorDetail && rejections.put(said));
	call.write(offer("1", "unreadable", "{"));
	await rejections.next();
	t.ok(await turns(1_750));
	call.write(offer("2", "nor that", "{"));
	await rejections.next();
	await turns(500);
	t.notOk(confirmation.isLate);
});

t.test("one that answers without a table has said nothing", async (t) => {
	const { confirmation, turns, call } = await begun(t);
	const acknowledged = new Promise<void>((resolve) =>
		call.on("data", ({ responseNonce }) => responseNonce === "1" && resolve()),
	);
	call.write({ ...offer("1", "", ""), resources: [] });
	await acknowledged;
	t.ok(await turns(1_750));
	await turns(500);
	t.notOk(confirmation.isLate);
});

t.test("what begins within 30 s is waited for, what begins later counts as nothing, until it is said", async (t) => {
	const { tables, confirmation, turns, standsStill, ...control } = await scene(t);
	await control.startControl();
	await control.nextCall();
	for (let standstill = 0; standstill < 2; standstill++) {
		standsStill();
		const sinceMs = control.nowMs();
		while (control.nowMs() - sinceMs < 29_000) {
			const call = await control.nextCall();
			t.ok(await turns(500));
			control.beginsAndIsGone(call);
			const { ms, end } = await control.nextPause();
			t.ok(await turns(Math.min(ms, 29_000 - (control.nowMs() - sinceMs))));
			end();
		}
		const last = await control.nextCall();
		await control.begins(last);
		t.ok(await turns(15_000), "it may take as long as one that hangs is kept");
		last.end();
		const { ms, end } = await control.nextPause();
		t.ok(await turns(ms));
		end();
		const late = await control.nextCall();
		late.sendMetadata(new Metadata());
		t.ok(await turns(1_750));
		await turns(500);
		t.notOk(confirmation.isLate);
		t.ok(control.nowMs() - sinceMs <= 50_000);
		if (standstill === 0) continue;
		control.says(late, 2);
		await serves(tables, tableOf(2));
		await tables.settled();
		t.equal(control.silentMs(), 0);
	}
});
