/** The sidecar's feed that asks control anew, as who stood still does: which call counts, and what control has said so far. */
import { join } from "node:path";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import type { DiscoveryRequest, DiscoveryResponse } from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import type { TableFeedOptions } from "../../../src/publish/sidecar/tableFeed.js";
import { tableJson } from "../../../src/publish/sidecar/tableReader.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import {
	compile,
	folderOf,
	offer,
	plan,
	serves,
	startControl,
	startDoor,
	startFeed,
	startServer,
	told,
	until,
} from "./feedScene.js";
import { tableOf } from "./sampleTable.js";

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

t.test(
	"asked anew, control confirms its newest by another call, and what the one before brings confirms nothing",
	async (t) => {
		const folder = await folderOf(t);
		const server = await startServer(t, join(folder, "inside.sock"));
		const door = await startDoor(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
		server.publish(plan(tableOf(1).table), 1);
		const { feed, tables } = startFeed(t, join(folder, "ads.sock"));
		await serves(tables, tableOf(1));
		feed.askAnew(7_000);
		t.notOk(tables.confirmed);
		t.ok(tables.ageMs() >= 7_000);
		await serves(tables, tableOf(1));
		door.freeze();
		server.publish(plan(tableOf(2).table), 2);
		feed.askAnew(0);
		feed.askAnew(9_000);
		t.notOk(tables.confirmed);
		t.ok(tables.ageMs() >= 9_000, "it is as old as anybody knows");
		door.cut();
		door.thaw();
		await serves(tables, tableOf(2));
		feed.close();
		feed.askAnew(0);
		// Who asks after it has its answer.
		await serves(startFeed(t, join(folder, "ads.sock")).tables, tableOf(2));
		t.notOk(tables.confirmed, "who follows no more asks nobody");
	},
);

t.test("asked anew while it waits to try again, it tries at once", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "ads.sock"));
	server.publish(plan(tableOf(1).table), 1);
	const { feed, tables } = startFeed(t, join(folder, "ads.sock"), { retryMs: { first: 2 ** 30, max: 2 ** 30 } });
	await serves(tables, tableOf(1));
	const lapsed = until(tables, () => !tables.confirmed);
	await server.close();
	await lapsed;
	const again = await startServer(t, join(folder, "ads.sock"));
	again.publish(plan(tableOf(2).table), 1);
	feed.askAnew(0);
	await serves(tables, tableOf(2));
});

t.test("the newest table that control names is awaited until it is in force, and read and compiled once", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "ads.sock"));
	server.publish(plan(tableOf(1).table), 1);
	let prepared: string[] = [];
	let [begun, go] = [(): void => {}, (): void => {}];
	const isBegun = new Promise<void>((resolve) => (begun = resolve));
	const mayGo = new Promise<void>((resolve) => (go = resolve));
	const tables = new Tables({
		compile,
		prepare: async ({ version }) => {
			prepared.push(version);
			if (version !== tableOf(2).version) return;
			begun();
			await mayGo;
		},
	});
	const { feed } = startFeed(t, join(folder, "ads.sock"), { tables });
	await serves(tables, tableOf(1));
	await told(server, "SYNCED");
	const parse = t.capture(JSON, "parse", JSON.parse);
	for (let again = 0; again < 3; again++) {
		feed.askAnew(0);
		await serves(tables, tableOf(1));
	}
	t.equal(parse().length, 0, "the table that is served is known by its version");
	prepared = [];
	server.publish(plan(tableOf(2).table), 2);
	await isBegun;
	t.equal(parse().length, 1);
	/** Resolves when control has answered. */
	const askAgain = async (): Promise<void> => {
		const offered = new Promise<void>((resolve) => {
			const { take, settled } = tables;
			tables.settled = () => {
				resolve();
				return settled.call(tables);
			};
			tables.take = (...given) => {
				resolve();
				return take.apply(tables, given);
			};
		});
		feed.askAnew(0);
		await offered;
	};
	await askAgain();
	await askAgain();
	t.equal(parse().length, 0);
	t.same(prepared, [tableOf(2).version]);
	server.publish(plan(tableOf(3).table), 3);
	await askAgain();
	go();
	await serves(tables, tableOf(3));
	await told(server, "SYNCED");
	// Who waited would take it after that.
	await new Promise((resolve) => setImmediate(resolve));
	await tables.settled();
	t.equal(tables.get(null), tableOf(3).version, "who waited for the one before takes it no more");
	t.same(prepared, [tableOf(2).version, tableOf(3).version]);
});

/** A feed of a control that says what the test says, and how often it has answered or was down. */
async function asked(t: Test, options: Partial<TableFeedOptions<string>> = {}) {
	const socketPath = join(await folderOf(t), "ads.sock");
	const calls: Call[] = [];
	const waits: (() => void)[] = [];
	await startControl(t, socketPath, (call) => {
		call.on("error", () => {});
		calls.push(call);
		waits.shift()?.();
	});
	let [answers, answered] = [0, (): void => {}];
	const { feed, tables } = startFeed(t, socketPath, {
		...options,
		onAnswered: () => {
			answers++;
			answered();
		},
	});
	return {
		...{ feed, tables },
		answers: () => answers,
		nextAnswer: () => new Promise<void>((resolve) => (answered = resolve)),
		nextCall: async (): Promise<Call> => {
			if (calls.length === 0) await new Promise<void>((resolve) => waits.push(resolve));
			return calls.shift() as Call;
		},
	};
}

const says = (call: Call, number: number): void => {
	const { version, table } = tableOf(number);
	call.write(offer("1", version, tableJson(table)));
};

t.test(
	"control has answered when its table is in force, is refused, or there is none, and when it is down",
	async (t) => {
		const { tables, nextCall, nextAnswer } = await asked(t);
		const answered: readonly (readonly [string, (call: Call) => void])[] = [
			["no table", (call) => call.write({ ...offer("1", "", ""), resources: [] })],
			["a table", (call) => says(call, 1)],
			["another", (call) => says(call, 2)],
			["a bad one", (call) => call.write(offer("1", "unreadable", "{"))],
			["the end", (call) => call.end()],
		];
		const call = await nextCall();
		for (const [what, say] of answered) {
			const answer = nextAnswer();
			say(call);
			await answer;
			if (what === "another") t.equal(tables.get(null), tableOf(2).version, "it is in force by then");
		}
	},
);

t.test("what was asked before it is asked anew answers nothing: a table that comes into force", async (t) => {
	let [begun, go] = [(): void => {}, (): void => {}];
	const isBegun = new Promise<void>((resolve) => (begun = resolve));
	const mayGo = new Promise<void>((resolve) => (go = resolve));
	const tables = new Tables({
		compile,
		prepare: async ({ version }) => {
			if (version !== tableOf(2).version) return;
			begun();
			await mayGo;
		},
	});
	await tables.take(tableOf(1));
	const { feed, answers, nextAnswer, nextCall } = await asked(t, { tables });
	says(await nextCall(), 2);
	await isBegun;
	feed.askAnew(0);
	const call = await nextCall();
	go();
	await tables.settled();
	t.equal(tables.get(null), tableOf(2).version);
	t.equal(answers(), 0);
	const answer = nextAnswer();
	says(call, 2);
	await answer;
	t.ok(tables.confirmed);
});
