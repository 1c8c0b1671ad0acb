import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BARE } from "../bareProcess.js";
import { goClient, runGoClient } from "./goClient.js";
import { STREAM, startEcho, until } from "./rig.js";

t.setTimeout(200_000);
const program = await goClient();
const skip = program === null;

async function run(args: Readonly<Record<string, string | number>>) {
	return runGoClient(program ?? "", args);
}

/** The server in a process of its own. */
async function startProcess(t: Test): Promise<{ readonly socket: string; rssMiB(): Promise<number> }> {
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

t.test("grpc-go: 20,000 unary calls, 50 at once, over one connection", { skip }, async (t) => {
	const { socket } = await startProcess(t);
	const got = await run({ socket, calls: 20_000, concurrent: 50, size: 1_000 });
	t.match(got, { calls: 20_000, codes: { OK: 20_000 }, wrong: 0, connections: 1 });
});

t.test("grpc-go: large messages, large metadata, unknown methods, deadlines", { skip }, async (t) => {
	const { socketPath: socket, counters } = await startEcho(t);
	const large = await run({ socket, calls: 40, concurrent: 8, size: 1_000_000 });
	t.match(large, { codes: { OK: 40 }, wrong: 0, connections: 1 });
	const tooLarge = await run({ socket, calls: 20, concurrent: 4, size: 8 << 20 });
	t.match(tooLarge, { codes: { ResourceExhausted: 20 }, connections: 1 }, "refused before it is read");
	t.match(await run({ socket, calls: 200, concurrent: 8, metadata: 8_000 }), { codes: { OK: 200 }, connections: 1 });
	const unknown = await run({ socket, calls: 20, method: "/a.B/C" });
	t.match(unknown, { codes: { Unimplemented: 20 }, message: "unknown method", connections: 1 });
	counters.ends.length = 0;
	t.match(await run({ socket, calls: 200, concurrent: 8, deadline: "10s" }), { codes: { OK: 200 } });
	const over = await run({ socket, calls: 200, concurrent: 8, deadline: "1us" });
	t.match(over, { codes: { DeadlineExceeded: 200 } });
	t.match(await run({ socket, calls: 2, kind: "deadline", method: STREAM, deadline: "50ms" }), {
		codes: { DeadlineExceeded: 2 },
		connections: 1,
	});
});

t.test("grpc-go: streams that half-close, and streams that are given up", { skip }, async (t) => {
	const { socketPath: socket, streams, server } = await startEcho(t);
	const got = await run({ socket, calls: 2_000, concurrent: 20, kind: "stream", method: STREAM });
	t.match(got, { codes: { OK: 2_000 }, wrong: 0, connections: 1 });
	t.match(await run({ socket, calls: 500, concurrent: 20, kind: "cancel", method: STREAM }), {
		codes: { OK: 500 },
		wrong: 0,
		connections: 1,
	});
	await until(() => server.streams() === 0);
	t.same({ ...streams }, { opened: 2_500, messages: 2_500, ended: 2_500 });
});

t.test("resident memory stays flat over 200,000 calls", { skip }, async (t) => {
	const { socket, rssMiB } = await startProcess(t);
	const load = async (calls: number) => {
		const unary = await run({ socket, calls, concurrent: 16, size: 1_000 });
		t.match(unary, { codes: { OK: calls }, connections: 1 });
		const stream = await run({ socket, calls, concurrent: 16, size: 1_000, kind: "stream", method: STREAM });
		t.match(stream, { codes: { OK: calls }, connections: 1 });
	};
	// Beside it, an idle connection: grpc-go pings at most every 10 s and gives an answer 2 s.
	const idle = run({ socket, kind: "idle", keepalive: "10s", wait: "13s" });
	await load(30_000);
	const before = await rssMiB();
	await load(80_000);
	const after = await rssMiB();
	t.comment(`resident: ${before.toFixed(0)} MiB after 60,000 calls, ${after.toFixed(0)} MiB after 220,000`);
	t.ok(after - before < 30, `${(after - before).toFixed(1)} MiB more`);
	t.ok(after < 120, `${after.toFixed(0)} MiB`);
	t.match(await idle, { codes: { OK: 2 }, connections: 1 }, "keepalive pings are answered");
});
