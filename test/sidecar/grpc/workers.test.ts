import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startWorkers } from "../../../src/sidecar/grpc/workers.js";
import { call, framed, open, until } from "./rig.js";

t.setTimeout(120_000);

t.test("workers share a socket, are told what the primary knows, and are replaced when they die", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-grpc-"));
	const socketPath = join(folder, "s.sock");
	const said: { pid?: number; ready?: boolean; told?: unknown }[] = [];
	const lines: string[] = [];
	let version = 1;
	const workers = await startWorkers<{ version: number; bytes: Uint8Array }>({
		count: 2,
		module: join(import.meta.dirname, "serverProcess.js"),
		args: [socketPath],
		socketPath,
		greet: () => [{ version, bytes: Uint8Array.of(version) }],
		onMessage: (message) => said.push(message as never),
		log: (line) => lines.push(line),
		// Far above what a busy machine keeps the other one from its second.
		silentMs: { told: 5_000, killed: 8_000, starting: 7_000 },
	});
	t.teardown(async () => {
		await workers.close(2_000);
		rmSync(folder, { recursive: true, force: true });
	});
	const ready = () => said.filter((message) => message.ready === true).length;
	const told = (version: number) => said.filter(({ told }) => (told as { version?: number })?.version === version);
	await until(() => ready() === 2 && told(1).length === 2);
	t.same(told(1)[0]?.told, { version: 1, bytes: Uint8Array.of(1) }, "bytes stay bytes");

	const pidOf = async () => {
		const got = await call(open(t, socketPath), { path: "/test.Echo/Pid", body: [framed("")] });
		return Number(got.body.subarray(5).toString());
	};
	const answering = new Set([await pidOf(), await pidOf(), await pidOf(), await pidOf()]);
	t.same([...answering].sort(), workers.pids().sort(), "connections go round");

	version = 2;
	for (const id of workers.ids()) workers.send(id, { version, bytes: Uint8Array.of(version) });
	await until(() => told(2).length === 2);

	const [first = 0] = workers.pids();
	process.kill(first, "SIGKILL");
	await until(() => ready() === 3 && told(2).length === 3);
	t.equal(workers.pids().length, 2);
	t.notOk(workers.pids().includes(first));
	t.match(lines, [/ended \(SIGKILL\)/]);
	t.ok(workers.pids().includes(await pidOf()), "calls are answered");

	const [hangs = 0] = workers.pids();
	process.kill(hangs, "SIGSTOP");
	await until(() => workers.silent() === 1);
	t.match(lines.at(-1), new RegExp(`worker ${hangs} has said nothing for 5000 ms`));
	await until(() => ready() === 4 && told(2).length === 4);
	t.notOk(workers.pids().includes(hangs));
	t.equal(workers.silent(), 0);
	t.ok(lines.some((line) => line.includes(`worker ${hangs} hangs: silent for 8000 ms, it is killed`)));
	t.ok(workers.pids().includes(await pidOf()));

	const old = workers.pids();
	process.kill(old[0] ?? 0, "SIGKILL");
	const fresh = () => workers.pids().find((pid) => !old.includes(pid));
	await until(() => fresh() !== undefined);
	const starts = fresh() ?? 0;
	process.kill(starts, "SIGSTOP");
	await until(() => lines.some((line) => line.includes(`worker ${starts} hangs: silent for 15000 ms`)));
	await until(() => ready() === 5);
	t.notOk(workers.pids().includes(starts), "also one that hangs before its first word");
	await workers.close(5_000);
	t.same(workers.pids(), []);
});
