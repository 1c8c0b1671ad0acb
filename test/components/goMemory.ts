/** Resident memory of the server, in a process of its own, while grpc-go calls it. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { BARE } from "../publish/sidecar/bareProcess.js";
import { STREAM } from "../publish/sidecar/grpc/rig.js";
import { type GoResult, runGoClient } from "./goClient.js";

/** At most, in MiB. Node 24 itself takes some 30 more than Node 20. */
const RESIDENT_MAX = Number.parseInt(process.versions.node, 10) >= 24 ? 130 : 100;

export interface ServerProcess {
	readonly socket: string;
	memory(): Promise<Memory>;
}

/** In MiB. */
export interface Memory {
	readonly resident: number;
	/** What a full collection leaves, buffers included: resident memory also holds what V8 and malloc keep for later. */
	readonly living: number;
}

export async function startServerProcess(t: Test): Promise<ServerProcess> {
	const folder = mkdtempSync(join(tmpdir(), "weir-grpc-"));
	const socket = join(folder, "s.sock");
	const child = fork(join(import.meta.dirname, "../publish/sidecar/grpc/serverProcess.js"), [socket], BARE);
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
		async memory() {
			const answer = next();
			child.send("memory");
			return (await answer) as unknown as Memory;
		},
	};
}

/** So many unary calls and as many streams before the first look at memory, and between it and the second. */
export interface MemoryExtent {
	readonly before: number;
	readonly between: number;
	/** Of what lives, from the first look to the second. */
	readonly growthMiB: number;
}

/** Fails unless memory stays as it was at the first look, and an idle connection beside the load stays up. */
export async function checkMemory(
	t: Test,
	program: string,
	{ before, between, growthMiB }: MemoryExtent,
): Promise<void> {
	const { socket, memory } = await startServerProcess(t);
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
	const first = await memory();
	await load(between);
	const second = await memory();
	const [calls, all] = [2 * before, 2 * (before + between)];
	const described = ({ resident, living }: Memory) => `${resident.toFixed(0)} MiB, ${living.toFixed(1)} living`;
	t.comment(`${described(first)} after ${calls} calls, ${described(second)} after ${all}`);
	t.ok(second.living - first.living < growthMiB, `${(second.living - first.living).toFixed(1)} MiB more live`);
	t.ok(second.resident < RESIDENT_MAX, `${second.resident.toFixed(0)} MiB resident`);
	t.match(await idle, { codes: { OK: 2 }, connections: 1 }, "keepalive pings are answered");
}
