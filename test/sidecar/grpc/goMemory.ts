/** Resident memory of the server, in a process of its own, while grpc-go calls it. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { BARE } from "../bareProcess.js";
import { type GoResult, runGoClient } from "./goClient.js";
import { STREAM } from "./rig.js";

export interface ServerProcess {
	readonly socket: string;
	rssMiB(): Promise<number>;
}

export async function startServerProcess(t: Test): Promise<ServerProcess> {
	const folder = mkdtempSync(join(tmpdir(), "weir-grpc-"));
	const socket = join(folder, "s.sock");
	const child = fork(join(import.meta.dirname, "serverProcess.js"), [socket], BARE);
	const next = () =>
		new Promise<Record<string, unknown>>((resolve) => {
			child.on("message", (message) => {
				if (typeof message === "object" && message !== null) resolve(message as Record<string, unknown>);
			});
		});
	t.teardown(() => {
		child.kill("SIGKILL");
		rmSync(folder, { recursive: true, force: true });
	});
	await next();
	return {
		socket,
		async rssMiB() {
			const answer = next();
			child.send("rss");
			return Number((await answer).rssMiB);
		},
	};
}

/** So many unary calls and as many streams before the first look at memory, and between it and the second. */
export interface MemoryExtent {
	readonly before: number;
	readonly between: number;
	/** Of the second look over the first: about 200 bytes for each call between them, more is a leak. */
	readonly growthMiB: number;
}

/** Fails unless memory stays as it was at the first look, and an idle connection beside the load stays up. */
export async function checkMemory(
	t: Test,
	program: string,
	{ before, between, growthMiB }: MemoryExtent,
): Promise<void> {
	const { socket, rssMiB } = await startServerProcess(t);
	const run = (args: Readonly<Record<string, string | number>>): Promise<GoResult> => runGoClient(program, args);
	const load = async (calls: number) => {
		const unary = await run({ socket, calls, concurrent: 16, size: 1_000 });
		t.match(unary, { codes: { OK: calls }, connections: 1 });
		const stream = await run({ socket, calls, concurrent: 16, size: 1_000, kind: "stream", method: STREAM });
		t.match(stream, { codes: { OK: calls }, connections: 1 });
	};
	// Beside it, an idle connection: grpc-go pings at most every 10 s and gives an answer 2 s.
	const idle = run({ socket, kind: "idle", keepalive: "10s", wait: "13s" });
	await load(before);
	const first = await rssMiB();
	await load(between);
	const second = await rssMiB();
	const [calls, all] = [2 * before, 2 * (before + between)];
	t.comment(`resident: ${first.toFixed(0)} MiB after ${calls} calls, ${second.toFixed(0)} MiB after ${all}`);
	t.ok(second - first < growthMiB, `${(second - first).toFixed(1)} MiB more`);
	t.ok(second < 120, `${second.toFixed(0)} MiB`);
	t.match(await idle, { codes: { OK: 2 }, connections: 1 }, "keepalive pings are answered");
}
