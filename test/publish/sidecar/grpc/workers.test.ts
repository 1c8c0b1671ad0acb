import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startWorkers } from "../../../../src/publish/sidecar/grpc/workers.js";
import { call, framed, open, until } from "./rig.js";

t.setTimeout(120_000);

t.test("workers share a socket, exchange messages with the primary, and restart if they die or hang", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-grpc-"));
	const socketPath = join(folder, "s.sock");
	const messages: { readonly ready?: number; readonly received?: unknown }[] = [];
	const ids = new Set<number>();
	const lines: string[] = [];
	const workers = await startWorkers({
		count: 2,
		module: join(import.meta.dirname, "serverProcess.js"),
		args: [socketPath],
		socketPath,
		onMessage: (message, id) => {
			messages.push(message as never);
			ids.add(id);
		},
		onEnd: (id) => ids.delete(id),
		log: (line) => lines.push(line),
		// Far above the delay of a heartbeat on a busy machine.
		silentMs: 5_000,
	});
	t.teardown(async () => {
		await workers.close(2_000);
		rmSync(folder, { recursive: true, force: true });
	});
	const ready = () => messages.flatMap(({ ready }) => ready ?? []);
	await until(() => ready().length === 2);
	t.same(ready().sort(), [0, 1]);
	for (const id of ids) workers.send(id, { bytes: Uint8Array.of(1) });
	const received = () => messages.flatMap(({ received }) => received ?? []);
	await until(() => received().length === 2);
	t.same(received(), [{ bytes: Uint8Array.of(1) }, { bytes: Uint8Array.of(1) }], "bytes stay bytes");

	const pidOf = async () => {
		const got = await call(open(t, socketPath), { path: "/test.Echo/Pid", body: [framed("")] });
		return Number(got.body.subarray(5).toString());
	};
	const answering = new Set([await pidOf(), await pidOf(), await pidOf(), await pidOf()]);
	t.same([...answering].sort(), workers.pids().sort(), "connections go round");

	for (const [signal, line] of [
		["SIGKILL", /ended \(SIGKILL\)/],
		["SIGSTOP", /hangs, it is killed/],
	] as const) {
		const before = ready().length;
		const [first = 0] = workers.pids();
		process.kill(first, signal);
		await until(() => ready().length === before + 1);
		t.equal(workers.pids().length, 2);
		t.notOk(workers.pids().includes(first));
		t.ok(lines.some((one) => line.test(one) && one.includes(`worker ${first} `)));
		t.ok(workers.pids().includes(await pidOf()), "calls are answered");
		t.equal(ids.size, 2);
	}

	const old = workers.pids();
	process.kill(old[0] ?? 0, "SIGKILL");
	const fresh = () => workers.pids().find((pid) => !old.includes(pid));
	await until(() => fresh() !== undefined);
	const starts = fresh() ?? 0;
	process.kill(starts, "SIGSTOP");
	await until(() => lines.some((line) => line.includes(`worker ${starts} hangs`)));
	await until(() => ready().length === 5);
	t.notOk(workers.pids().includes(starts), "also one that hangs before its first message");
	await workers.close(5_000);
	t.same(workers.pids(), []);
});
