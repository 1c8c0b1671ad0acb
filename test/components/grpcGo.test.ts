/**
 * grpc-go, as another client than those of the fast tier (Envoy's and grpc-js: test/publish/sidecar/grpc/grpcJs.test.ts). Needs Go,
 * and once a minute of one core; the program is kept in ~/.cache/weir/go. Skipped, with the reason, where it cannot be built.
 */
import t from "tap";
import { STREAM, startEcho, until } from "../publish/sidecar/grpc/rig.js";
import { goClient, runGoClient } from "./goClient.js";
import { checkMemory, startServerProcess } from "./goMemory.js";

t.setTimeout(200_000);
const program = await goClient();
const skip = program === null;

async function run(args: Readonly<Record<string, string | number>>) {
	return runGoClient(program ?? "", args);
}

t.test("grpc-go: 20,000 unary calls, 50 at once, over one connection", { skip }, async (t) => {
	const { socket } = await startServerProcess(t);
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

t.test("resident memory stays flat over 60,000 calls (over 200,000 in test/long)", { skip }, (t) =>
	checkMemory(t, program ?? "", { before: 10_000, between: 20_000, growthMiB: 2 }),
);
