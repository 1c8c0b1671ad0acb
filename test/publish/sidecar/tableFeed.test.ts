/** The sidecar's feed against the real xDS server: served and rejected tables, and acknowledgements. */
import { join } from "node:path";
import t from "tap";
import { INSTANCE_KEY } from "../../../src/compile/envoy/envoyInstance.js";
import { TABLE_BYTES_MAX } from "../../../src/limits/index.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import {
	acknowledged,
	compile,
	folderOf,
	NODE,
	plan,
	reported,
	serves,
	startControl,
	startFeed,
	startProxy,
	startServer,
	until,
} from "./feedScene.js";
import { EXPERIMENT, SERVICE, tableOf } from "./sampleTable.js";

t.test("the first table and each change are served, confirmed and acknowledged", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	const { tables, log } = startFeed(t, socketPath);
	t.equal(tables.get(null), null);
	for (const number of [1, 2]) {
		const done = acknowledged(server, number);
		server.publish(plan(tableOf(number).table), number);
		await serves(tables, tableOf(number));
		await done;
		t.equal(tables.ageMs(), 0);
		t.match(server.proxies(), [
			{ node: NODE, types: { tables: { state: "SYNCED", acceptedVersion: tableOf(number).version } } },
		]);
	}
	t.same(tables.newest, tableOf(2));
	t.equal(tables.get(tableOf(1).version), tableOf(1).version, "the one before is still held");
	t.equal(log.lines.length, 2);
});

t.test(
	"a table that cannot be executed is rejected with a message, and the last good one is kept and gets stale",
	async (t) => {
		const socketPath = join(await folderOf(t), "ads.sock");
		const server = await startServer(t, socketPath);
		const { feed, tables, log } = startFeed(t, socketPath);
		server.publish(plan(tableOf(1).table), 1);
		await serves(tables, tableOf(1));
		const badArm = { ...EXPERIMENT, arms: EXPERIMENT.arms.slice(0, 1) };
		const bad: [ReturnType<typeof plan>, object][] = [
			[
				{ ...plan(tableOf(2).table), version: "0123456789abcdef" },
				{ error: /^the table's content has the hash .*"0123456789abcdef"$/, source: "plan 0123456789abcdef" },
			],
			[
				plan({ gateways: [], services: [{ ...SERVICE, experiments: [badArm] }] }),
				{ error: /the regions of its arms end at 500000/, source: "Experiment boosted-vs-logistic" },
			],
			[
				plan({ gateways: [], services: [{ ...SERVICE, tokens: [] } as typeof SERVICE] }),
				{ error: 'Service employment: has the unknown field "tokens"', source: "Service employment" },
			],
			[
				plan({ gateways: [], services: [{ ...SERVICE, hosts: [`${"a".repeat(TABLE_BYTES_MAX)}.test`] }] }),
				{ error: /^the table has \d+ characters, more than 8388608$/ },
			],
		];
		for (const [index, [one, status]] of bad.entries()) {
			const rejected = reported(server, "ERROR");
			server.publish(one, 2 * index + 2);
			await rejected;
			t.match(server.proxies()[0]?.types.tables, { ...status, acceptedVersion: tableOf(1).version });
			t.equal(tables.get(null), tableOf(1).version);
			t.equal(tables.get(one.version), null, "not half of it");
			t.notOk(tables.confirmed, "control wants another one");
			t.equal(feed.rejected, index + 1);
			t.match(log.lines.at(-1), "is rejected, the last good one stays");
			const done = acknowledged(server, 2 * index + 3);
			server.publish(plan(tableOf(1).table), 2 * index + 3);
			await done;
			t.ok(tables.confirmed, "the good one is wanted again");
			t.equal(server.proxies()[0]?.types.tables?.state, "SYNCED");
		}
	},
);

t.test("a compile error is a rejection, and its text, which may quote the table, is not sent", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	const tables = new Tables<string>({
		compile: () => {
			throw new Error("employment");
		},
	});
	const { log } = startFeed(t, socketPath, { tables });
	const rejected = reported(server, "ERROR");
	server.publish(plan(tableOf(1).table), 1);
	await rejected;
	t.equal(server.proxies()[0]?.types.tables?.error, "the table cannot be compiled");
	t.equal(tables.newest, null);
	t.notMatch(log.lines.join(), "employment");
});

t.test("without control the table stays and its age grows; both outage and return are logged once", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const first = await startServer(t, socketPath);
	const { tables, log } = startFeed(t, socketPath);
	first.publish(plan(tableOf(1).table), 1);
	await serves(tables, tableOf(1));
	const lapsed = until(tables, () => !tables.confirmed);
	await first.close();
	await lapsed;
	t.equal(tables.get(null), tableOf(1).version);
	await new Promise((resolve) => setTimeout(resolve, 30));
	t.ok(tables.ageMs() >= 25 && tables.ageMs() < 10_000, `${tables.ageMs()} ms`);

	const second = await startServer(t, socketPath);
	await reported(second, "NOT SENT");
	t.notOk(tables.confirmed, "a control that publishes nothing confirms nothing");
	second.publish(plan(tableOf(1).table), 1);
	await serves(tables, tableOf(1));
	t.equal(tables.ageMs(), 0);
	second.publish(plan(tableOf(2).table), 2);
	await serves(tables, tableOf(2));
	t.match(log.lines, [
		/^control's table is served/,
		/^control is away, its last table stays/,
		/^control's table is served/,
		/^control's table is served/,
	]);
});

t.test("a feed waits for a control that starts later, and reports no last table if it has none", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const { tables, log } = startFeed(t, socketPath);
	await log.spoken();
	const server = await startServer(t, socketPath);
	server.publish(plan(tableOf(1).table), 1);
	await serves(tables, tableOf(1));
	t.match(log.lines, [/^control is awaited: there is no table yet/, /^control's table is served/]);
});

t.test("a table is acknowledged when both sidecars have it; a hanging one delays that", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	const acks: number[] = [];
	server.onAcknowledged((revision) => acks.push(revision));
	const one = startFeed(t, join(folder, "inside.sock"));
	const two = startFeed(t, join(folder, "ads.sock"));
	const both = new Promise<void>((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (server.proxies().length < 2) return;
			stop();
			resolve();
		});
	});
	await both;
	const first = acknowledged(server, 1);
	server.publish(plan(tableOf(1).table), 1);
	await Promise.all([serves(one.tables, tableOf(1)), serves(two.tables, tableOf(1)), first]);
	proxy.freeze();
	server.publish(plan(tableOf(2).table), 2);
	await serves(one.tables, tableOf(2));
	await new Promise((resolve) => setTimeout(resolve, 50));
	t.same(acks, [1]);
	t.equal(two.tables.get(null), tableOf(1).version);
	const states = server.proxies().map(({ types }) => types.tables?.state);
	t.same(states.sort(), ["STALE", "SYNCED"]);
});

t.test("a closed feed opens no call, and the table's age grows", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	server.publish(plan(tableOf(1).table), 1);
	const { feed, tables, log } = startFeed(t, socketPath);
	await serves(tables, tableOf(1));
	const gone = new Promise<void>((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (server.proxies().length > 0) return;
			stop();
			resolve();
		});
	});
	feed.close();
	await gone;
	t.notOk(tables.confirmed);
	await new Promise((resolve) => setTimeout(resolve, 60));
	t.equal(server.proxies().length, 0);
	t.equal(log.lines.length, 1, "an end that was wanted is no news");
});

t.test("a table is acknowledged and confirmed only when it is in force", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	const ready: (() => void)[] = [];
	const asked: (() => void)[] = [];
	const tables = new Tables<string>({
		compile,
		prepare: () =>
			new Promise((resolve) => {
				ready.push(resolve);
				asked.shift()?.();
			}),
	});
	const { feed } = startFeed(t, socketPath, { tables });
	const begun = (): Promise<void> => new Promise((resolve) => asked.push(resolve));
	let preparing = begun();
	server.publish(plan(tableOf(1).table), 1);
	await serves(tables, tableOf(1));
	await preparing;
	ready.shift()?.();
	const accepted = () => server.proxies()[0]?.types.tables?.acceptedVersion;
	preparing = begun();
	const done = acknowledged(server, 2);
	server.publish(plan(tableOf(2).table), 2);
	await preparing;
	await new Promise((resolve) => setTimeout(resolve, 30));
	t.equal(accepted(), tableOf(1).version);
	t.equal(tables.get(null), tableOf(1).version);
	ready.shift()?.();
	await done;
	t.equal(accepted(), tableOf(2).version);
	t.ok(tables.confirmed);

	// Another control, with an older table, replaces it before the third is in force.
	preparing = begun();
	server.publish(plan(tableOf(3).table), 3);
	await preparing;
	await server.close();
	const other = await startServer(t, socketPath);
	other.publish(plan(tableOf(2).table), 1);
	await reported(other, "STALE");
	await new Promise((resolve) => setTimeout(resolve, 30));
	ready.shift()?.();
	await begun();
	ready.shift()?.();
	await serves(tables, tableOf(2));
	t.equal(tables.get(null), tableOf(2).version);

	preparing = begun();
	other.publish(plan(tableOf(3).table), 4);
	await preparing;
	feed.close();
	const served = until(tables, () => tables.get(null) === tableOf(3).version);
	ready.shift()?.();
	await served;
	t.notOk(tables.confirmed, "a table that comes into force after the stream ended is not confirmed");
});

t.test("the feed sends its instance, so that control counts the workers of a sidecar as one", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const node = new Promise((resolve) => {
		void startControl(t, socketPath, (call) => {
			call.on("error", () => {});
			call.once("data", (request) => resolve(request.node));
		});
	});
	startFeed(t, socketPath, { instance: "one" });
	t.match(await node, { id: NODE, metadata: { [INSTANCE_KEY]: "one" } });
});
