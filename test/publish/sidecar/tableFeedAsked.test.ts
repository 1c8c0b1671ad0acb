/** The sidecar's feed opens a new call to control after a standstill: which call and which answer count. */
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
	reported,
	serves,
	startControl,
	startFeed,
	startProxy,
	startServer,
	until,
} from "./feedScene.js";
import { tableOf } from "./sampleTable.js";

type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

t.test("after askAnew a new call confirms the newest table, and the previous call confirms nothing", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	server.publish(plan(tableOf(1).table), 1);
	const { feed, tables } = startFeed(t, join(folder, "ads.sock"));
	await serves(tables, tableOf(1));
	feed.askAnew(7_000);
	t.notOk(tables.confirmed);
	t.ok(tables.ageMs() >= 7_000);
	await serves(tables, tableOf(1));
	proxy.freeze();
	server.publish(plan(tableOf(2).table), 2);
	feed.askAnew(0);
	feed.askAnew(9_000);
	t.notOk(tables.confirmed);
	t.ok(tables.ageMs() >= 9_000, "the larger age counts");
	proxy.cut();
	proxy.thaw();
	await serves(tables, tableOf(2));
	feed.close();
	feed.askAnew(0);
	// A later feed gets its answer.
	await serves(startFeed(t, join(folder, "ads.sock")).tables, tableOf(2));
	t.notOk(tables.confirmed, "a closed feed opens no call");
});

t.test("askAnew during the retry pause retries at once", async (t) => {
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

t.test("askAnew waits until control's newest table is in force; it is read and compiled once", async (t) => {
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
	await reported(server, "SYNCED");
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
	await reported(server, "SYNCED");
	// A waiting feed would take it after that.
	await new Promise((resolve) => setImmediate(resolve));
	await tables.settled();
	t.equal(tables.get(null), tableOf(3).version, "a caller that waited for the previous table does not restore it");
	t.same(prepared, [tableOf(2).version, tableOf(3).version]);
});

/** A feed from a control that the test scripts, with the number of its answers and failures. */
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

const sendTable = (call: Call, number: number): void => {
	const { version, table } = tableOf(number);
	call.write(offer("1", version, tableJson(table)));
};

t.test("control has answered when its table is in force, refused or absent, and when it is down", async (t) => {
	const { tables, nextCall, nextAnswer } = await asked(t);
	const answered: readonly (readonly [string, (call: Call) => void])[] = [
		["no table", (call) => call.write({ ...offer("1", "", ""), resources: [] })],
		["a table", (call) => sendTable(call, 1)],
		["another", (call) => sendTable(call, 2)],
		["a bad one", (call) => call.write(offer("1", "unreadable", "{"))],
		["the end", (call) => call.end()],
	];
	const call = await nextCall();
	for (const [what, send] of answered) {
		const answer = nextAnswer();
		send(call);
		await answer;
		if (what === "another") t.equal(tables.get(null), tableOf(2).version, "the table is in force by then");
	}
});

t.test("a table of a previous call that comes into force does not answer askAnew", async (t) => {
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
	sendTable(await nextCall(), 2);
	await isBegun;
	feed.askAnew(0);
	const call = await nextCall();
	go();
	await tables.settled();
	t.equal(tables.get(null), tableOf(2).version);
	t.equal(answers(), 0);
	const answer = nextAnswer();
	sendTable(call, 2);
	await answer;
	t.ok(tables.confirmed);
});
