/** The sidecar's feed that asks control anew, as who stood still does: which call counts, and what control has said so far. */
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import t from "tap";
import { tableJson } from "../../src/sidecar/tableReader.js";
import { Tables } from "../../src/sidecar/tables.js";
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

t.test("a standstill that is noticed by the end of a call makes the table as old as that", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const door = await startDoor(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	server.publish(plan(tableOf(1).table), 1);
	const { feed, tables } = startFeed(t, join(folder, "ads.sock"));
	for (const end of [() => door.cut(), () => feed.close()]) {
		await serves(tables, tableOf(1));
		const noticed = new Promise<number>((resolve) => {
			// As whoever is told of the change asks whether it is late.
			const stop = tables.onChange(() => {
				if (tables.confirmed) return;
				stop();
				feed.askAnew(9_000);
				resolve(tables.ageMs());
			});
		});
		end();
		t.ok((await noticed) >= 9_000);
	}
	t.notOk(tables.confirmed);
});

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

t.test(
	"what control has named as the newest is waited for until it is in force, and read and taken once",
	async (t) => {
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
		t.ok(feed.silentMs > 0, "nothing yet");
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
		t.equal(feed.silentMs, 0);
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
			t.equal(feed.silentMs, 0, "by a call before, whatever becomes of this one");
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
	},
);

t.test("one that comes into force after a newer one was rejected is confirmed by nobody", async (t) => {
	const folder = await folderOf(t);
	const { version, table } = tableOf(1);
	let [begun, go] = [(): unknown => null, (): void => {}];
	const mayGo = new Promise<void>((resolve) => (go = resolve));
	await startControl(t, join(folder, "ads.sock"), (call) => {
		call.once("data", () => call.write(offer("1", version, tableJson(table))));
		call.on("data", ({ errorDetail }) => errorDetail !== undefined && go());
		call.on("error", () => {});
		begun = () => call.write(offer("2", "newer", "{"));
	});
	const tables = new Tables({
		compile,
		prepareFirst: true,
		prepare: async () => {
			begun();
			await mayGo;
		},
	});
	startFeed(t, join(folder, "ads.sock"), { tables });
	await until(tables, () => tables.get(null) === version);
	await tables.settled();
	await new Promise((resolve) => setImmediate(resolve));
	t.notOk(tables.confirmed);
});

t.test("a refusal that ends when control has been asked anew says nothing of the call since", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const offered = offer("1", "unreadable", "{");
	let calls = 0;
	await startControl(t, socketPath, (call) => {
		call.on("error", () => {});
		if (++calls === 1) call.write(offered);
		else call.sendMetadata(new Metadata());
	});
	let [refuses, go] = [(): void => {}, (): void => {}];
	const isRefusing = new Promise<void>((resolve) => (refuses = resolve));
	const restored = new Promise<void>((resolve) => (go = resolve));
	const restore = (): Promise<void> => {
		refuses();
		return restored;
	};
	const { feed } = startFeed(t, socketPath, { restore });
	await isRefusing;
	feed.askAnew(0);
	// Nothing tells when the feed has read that control begins.
	while (feed.silentMs > 0) await new Promise((resolve) => setTimeout(resolve, 5));
	go();
	// Whoever waits for it goes on in between.
	await new Promise((resolve) => setImmediate(resolve));
	t.equal(feed.silentMs, 0);
});

t.test("whoever is told that a table is confirmed, and asks anew, waits for control again", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const { version, table } = tableOf(1);
	let calls = 0;
	await startControl(t, socketPath, (call) => {
		call.on("error", () => {});
		if (++calls === 1) call.write(offer("1", version, tableJson(table)));
	});
	const { feed, tables } = startFeed(t, socketPath);
	const silentMs = new Promise<number>((resolve) => {
		const stop = tables.onChange(() => {
			if (!tables.confirmed) return;
			stop();
			feed.askAnew(0);
			setImmediate(() => resolve(feed.silentMs));
		});
	});
	t.ok((await silentMs) > 0);
});
