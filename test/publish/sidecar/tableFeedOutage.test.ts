/** The sidecar's feed while control is unavailable: dead, killed, hanging, silent, or not yet started. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { followControl } from "../../../src/publish/sidecar/tableFeed.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import {
	compile,
	folderOf,
	NODE,
	plan,
	QUICK,
	reported,
	serves,
	startFeed,
	startProxy,
	startServer,
	until,
} from "./feedScene.js";
import { LogLines, tableOf } from "./sampleTable.js";

t.test("a control killed mid-stream is noticed at once, and followed again after its restart", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	server.publish(plan(tableOf(1).table), 1);
	const { tables } = startFeed(t, join(folder, "ads.sock"));
	for (let number = 1; number < 6; number++) {
		await serves(tables, tableOf(number));
		const lapsed = until(tables, () => !tables.confirmed);
		// Half a table may be in transit.
		server.publish(plan(tableOf(number + 1).table), number + 1);
		proxy.cut();
		await lapsed;
		t.ok([tableOf(number).version, tableOf(number + 1).version].includes(tables.get(null) ?? ""));
	}
	await serves(tables, tableOf(6));
});

t.test("a hanging control is noticed by its missing answers, and followed again when it resumes", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	server.publish(plan(tableOf(1).table), 1);
	const { tables, log } = startFeed(t, join(folder, "ads.sock"), {
		keepaliveMs: { every: 40, answer: 40 },
		connectMs: 100,
	});
	await serves(tables, tableOf(1));
	await new Promise((resolve) => setTimeout(resolve, 200));
	t.ok(tables.confirmed, "pings that are answered end nothing");
	proxy.freeze();
	await until(tables, () => !tables.confirmed);
	t.equal(tables.get(null), tableOf(1).version);
	// Long enough for connections that are accepted and never answered.
	await new Promise((resolve) => setTimeout(resolve, 250));
	proxy.thaw();
	await serves(tables, tableOf(1));
	t.equal(log.lines.filter((line) => line.startsWith("control is away")).length, 1);
});

t.test("a long-lived connection that is replaced at once does not count as an outage", async (t) => {
	const folder = await folderOf(t);
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, join(folder, "ads.sock"), join(folder, "inside.sock"));
	server.publish(plan(tableOf(1).table), 1);
	// Any duration counts as long-lived.
	const { tables, log } = startFeed(t, join(folder, "ads.sock"), { retryMs: { first: 5, max: 0 } });
	await serves(tables, tableOf(1));
	const lapsed = until(tables, () => !tables.confirmed);
	proxy.cut();
	await lapsed;
	await serves(tables, tableOf(1));
	t.notMatch(log.lines.join(), /control is away/);
});

t.test("a peer that accepts the connection and sends nothing is given up", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	let connections = 0;
	const sockets: Socket[] = [];
	const enough = new Promise<void>((resolve) => {
		const silent = createServer((socket) => {
			sockets.push(socket);
			socket.on("error", () => {});
			if (++connections === 3) resolve();
		});
		silent.listen(socketPath);
		t.teardown(() => {
			for (const socket of sockets) socket.destroy();
			silent.close();
		});
	});
	const { log } = startFeed(t, socketPath, { connectMs: 30 });
	await enough;
	t.match(log.lines, [/control is awaited: there is no table yet.*no answer within 30 ms/]);
});

t.test("retry pauses double up to the longest, with jitter below", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const jitter = [0, 1];
	const askedMs: number[] = [];
	let enough: () => void = () => {};
	const eight = new Promise<void>((resolve) => {
		enough = resolve;
	});
	let isDrawn = false;
	let drawn = 0;
	const timer = setTimeout;
	// The timer set after a random number is the pause. The test waits for none, because timers are not exact.
	t.intercept(globalThis, "setTimeout", {
		value: (run: () => void, ms?: number) => {
			if (!isDrawn) return timer(run, ms);
			isDrawn = false;
			if (askedMs.push(ms ?? 0) === 8) enough();
			return timer(run, 0);
		},
	});
	startFeed(t, socketPath, {
		// No attempt lasts as long as the longest pause, after which the pauses would begin anew.
		retryMs: { first: 100_000, max: 500_000 },
		random: () => {
			isDrawn = true;
			return jitter[drawn++ % 2] ?? 0;
		},
	});
	await eight;
	const whole = [100_000, 200_000, 400_000, 500_000, 500_000, 500_000, 500_000, 500_000];
	t.same(
		askedMs.slice(0, 8),
		whole.map((ms, index) => (index % 2 === 0 ? ms / 2 : ms)),
	);
});

/** A sidecar's feed, tables and file, in a folder that outlives it. */
async function kept(t: Test) {
	const folder = await folderOf(t);
	const socketPath = join(folder, "ads.sock");
	const filePath = join(folder, "sidecar/table.json");
	const follow = (controlFirstMs: number) => {
		const log = new LogLines();
		const tables = new Tables({ compile });
		const served: (string | undefined)[] = [];
		tables.onChange(() => {
			const version = tables.newest?.version;
			if (served.at(-1) !== version) served.push(version);
		});
		const following = followControl({ socketPath, node: NODE, tables, log, filePath, controlFirstMs, ...QUICK });
		t.teardown(() => following.close());
		return { tables, log, following, served };
	};
	/** Saves the table of a control that is stopped afterwards. */
	const leave = async (number: number): Promise<void> => {
		const server = await startServer(t, socketPath);
		server.publish(plan(tableOf(number).table), 1);
		const { tables, following } = follow(60_000);
		await serves(tables, tableOf(number));
		await following.close();
		t.notOk(tables.confirmed);
		await server.close();
	};
	const onDisk = (): string | null =>
		existsSync(filePath) ? JSON.parse(readFileSync(filePath, "utf8")).version : null;
	return { folder, socketPath, follow, leave, onDisk };
}

t.test("after a restart without control the file answers with its age; then control is followed", async (t) => {
	const { socketPath, follow, leave } = await kept(t);
	await leave(1);
	const stoppedAtMs = Date.now();
	const beganMs = performance.now();
	const { tables, served } = follow(100);
	t.equal(tables.get(null), null);
	await until(tables, () => tables.get(null) !== null);
	t.ok(performance.now() - beganMs >= 99, "control had its chance");
	t.equal(tables.get(null), tableOf(1).version);
	t.notOk(tables.confirmed);
	const ageMs = tables.ageMs();
	t.ok(ageMs >= 99 && ageMs <= Date.now() - stoppedAtMs + 1_000, `${ageMs} ms`);
	const again = await startServer(t, socketPath);
	again.publish(plan(tableOf(2).table), 1);
	await serves(tables, tableOf(2));
	t.equal(tables.ageMs(), 0);
	t.equal(tables.get(tableOf(1).version), tableOf(1).version);
	t.same(served, [tableOf(1).version, tableOf(2).version]);
});

t.test("after a restart with control its table answers from the first call on, however late it is", async (t) => {
	const { folder, socketPath, follow, leave, onDisk } = await kept(t);
	await leave(1);
	const server = await startServer(t, join(folder, "inside.sock"));
	server.publish(plan(tableOf(2).table), 2);
	const { tables, served } = follow(60_000);
	const stop = tables.onChange(() => {
		if (tables.newest !== null) t.not(onDisk(), tableOf(1).version, "and the older one is on disk no more");
	});
	await new Promise((resolve) => setTimeout(resolve, 100));
	t.equal(tables.newest, null);
	t.equal(onDisk(), tableOf(1).version);
	await startProxy(t, socketPath, join(folder, "inside.sock"));
	await serves(tables, tableOf(2));
	stop();
	t.same(served, [tableOf(2).version]);
});

t.test("if control's first table is unreadable, the file's is served at once and stays on disk", async (t) => {
	const { folder, socketPath, follow, leave, onDisk } = await kept(t);
	await leave(1);
	const stopped = follow(60_000);
	await stopped.following.close();
	t.equal(stopped.tables.newest, null);
	t.equal(onDisk(), tableOf(1).version, "a stop before control has answered harms it not");
	const server = await startServer(t, join(folder, "inside.sock"));
	const proxy = await startProxy(t, socketPath, join(folder, "inside.sock"));
	// The hash is of another text.
	server.publish({ ...plan(tableOf(2).table), version: "0".repeat(16) }, 2);
	const { tables, log, served, following } = follow(60_000);
	const rejected = reported(server, "ERROR");
	await until(tables, () => tables.get(null) !== null);
	t.match(log.lines, [/control's table is rejected/, /the last good table is served/]);
	t.same(served, [tableOf(1).version], "though control was there");
	await rejected;
	t.match(proxy.asked(), tableOf(1).version, "the rejection names the served table");
	await following.close();
	t.equal(onDisk(), tableOf(1).version);
});

t.test("without control and without a file there is no table", async (t) => {
	const folder = await folderOf(t);
	const log = new LogLines();
	const tables = new Tables({ compile });
	const options = {
		socketPath: join(folder, "ads.sock"),
		node: NODE,
		tables,
		log,
		filePath: join(folder, "table.json"),
	};
	const following = followControl({ ...options, controlFirstMs: 50, ...QUICK });
	await new Promise((resolve) => setTimeout(resolve, 100));
	t.equal(tables.get(null), null);
	t.equal(tables.ageMs(), Number.POSITIVE_INFINITY);
	await following.close();
});
