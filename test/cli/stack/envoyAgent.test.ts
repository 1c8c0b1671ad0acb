/** The keeper of an Envoy tells ingest what the Envoy's access log cannot. */
import { createServer as createHttp2Server } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { EnvoyAgent, type EnvoyAgentOptions } from "../../../src/cli/stack/envoyAgent.js";
import type { EntrySink } from "../../../src/observe/events/accessLog/accessLog.js";
import { serveAccessLog } from "../../../src/observe/events/accessLog/accessLog.js";
import { temporaryDirectory } from "../command.js";

/** An access-log listener that records the reports of an agent; and such an agent. */
async function scene(t: Test) {
	const told: unknown[] = [];
	const at = { passedMs: 1_000 };
	const nowMs = 500_000;
	const path = join(await temporaryDirectory(t), "log.sock");
	const unused = (): void => undefined;
	const sink: EntrySink = {
		...{
			offer: unused,
			broken: unused,
			broke: unused,
			impossible: unused,
			refused: unused,
			opened: unused,
			handshakeFailed: unused,
			heard: unused,
		},
		undelivered: (...all) => told.push(all.slice(0, 2)),
	};
	const log = { info: unused, warn: unused, error: unused };
	const open = async () => {
		const door = await serveAccessLog(path, sink, () => nowMs, log);
		t.teardown(() => door.close());
		return door;
	};
	const said: string[] = [];
	const start = (more: Partial<EnvoyAgentOptions> = {}) => {
		const keeper = new EnvoyAgent({
			...{ node: "edge", instance: "a", open: () => connect(path), passedMs: () => at.passedMs },
			say: (line) => said.push(line),
			...more,
		});
		t.teardown(() => keeper.close());
		return keeper;
	};
	return { told, at, path, open, said, start, keeper: start() };
}

t.test("what was dropped is told once, with what was dropped meanwhile", async (t) => {
	const { told, at, open, keeper } = await scene(t);
	keeper.dropped(3, 800);
	const failed = keeper.ask();
	keeper.dropped(4, 1_000);
	await failed;
	await open();
	at.passedMs = 2_000;
	await keeper.ask();
	await keeper.ask();
	t.same(told, [[7, 500_000 - 1_200]]);
});

t.test("who is silent is not there, and a certificate that has ended opens nothing", async (t) => {
	const { told, path, at, keeper } = await scene(t);
	const held: Socket[] = [];
	const silent = createServer((socket) => held.push(socket));
	await new Promise<void>((resolve) => silent.listen(path, resolve));
	await keeper.ask();
	t.ok(held.length > 0);
	for (const socket of held) socket.destroy();
	await new Promise((resolve) => silent.close(resolve));
	const refusing = new EnvoyAgent({
		...{ node: "edge", instance: "a", passedMs: () => at.passedMs },
		open: () => {
			throw new Error("the own SVID has ended");
		},
	});
	await t.resolves(refusing.ask());
	t.same(told, []);
});

t.test(
	"who is refused is not heard: that is said, and what it dropped is reported when it is heard again",
	async (t) => {
		const { told, at, path, open, said, keeper } = await scene(t);
		const refusing = createHttp2Server();
		refusing.on("stream", (stream) =>
			stream.respond(
				{ ":status": 200, "grpc-status": "7", "grpc-message": "refused:%20other-gateway" },
				{ endStream: true },
			),
		);
		await new Promise<void>((resolve) => refusing.listen(path, resolve));
		t.teardown(() => refusing.close());
		keeper.dropped(2, 1_000);
		for (at.passedMs of [2_000, 7_000]) await keeper.ask();
		t.same(said.splice(0), ["ingest refuses this Envoy's access log: refused: other-gateway"], "once");
		await new Promise((resolve) => refusing.close(resolve));
		for (at.passedMs of [12_000, 13_000]) await keeper.ask();
		t.match(said.splice(0), [/^ingest cannot be reached, .*: connect ENOENT/]);
		await open();
		at.passedMs = 14_000;
		await keeper.ask();
		await keeper.ask();
		t.match(said, [/^ingest takes this Envoy's access log again, after 13 s/]);
		t.same(told, [[2, 500_000 - 13_000]]);
	},
);
