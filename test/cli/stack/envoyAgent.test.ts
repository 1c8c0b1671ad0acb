/** The agent of an Envoy reports to ingest what the Envoy's access log cannot. */
import { createServer as createHttp2Server } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { EnvoyAgent, type EnvoyAgentOptions } from "../../../src/cli/stack/envoyAgent.js";
import type { EntrySink } from "../../../src/observe/events/receive/accessLog/accessLog.js";
import { serveAccessLog } from "../../../src/observe/events/receive/accessLog/accessLog.js";
import { temporaryDirectory } from "../command.js";

/** An access-log listener that records the reports of an agent; and such an agent. */
async function scene(t: Test) {
	const reported: unknown[] = [];
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
		undelivered: (...all) => reported.push(all.slice(0, 2)),
	};
	const log = { info: unused, warn: unused, error: unused };
	const open = async () => {
		const listener = await serveAccessLog(path, sink, () => nowMs, log);
		t.teardown(() => listener.close());
		return listener;
	};
	const logged: string[] = [];
	const start = (more: Partial<EnvoyAgentOptions> = {}) => {
		const agent = new EnvoyAgent({
			...{ node: "edge", instance: "a", open: () => connect(path), passedMs: () => at.passedMs },
			notice: (line) => logged.push(line),
			...more,
		});
		t.teardown(() => agent.close());
		return agent;
	};
	return { reported, at, path, open, logged, start, agent: start() };
}

t.test("dropped entries are reported once, with those that were dropped meanwhile", async (t) => {
	const { reported, at, open, agent } = await scene(t);
	agent.dropped(3, 800);
	const failed = agent.ask();
	agent.dropped(4, 1_000);
	await failed;
	await open();
	at.passedMs = 2_000;
	await agent.ask();
	await agent.ask();
	t.same(reported, [[7, 500_000 - 1_200]]);
});

t.test("neither a silent ingest nor an ended certificate counts as a report", async (t) => {
	const { reported, path, at, agent } = await scene(t);
	const held: Socket[] = [];
	const silent = createServer((socket) => held.push(socket));
	await new Promise<void>((resolve) => silent.listen(path, resolve));
	await agent.ask();
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
	t.same(reported, []);
});

t.test("a refused agent logs that once, and reports dropped entries when it is accepted again", async (t) => {
	const { reported, at, path, open, logged, agent } = await scene(t);
	const refusing = createHttp2Server();
	refusing.on("stream", (stream) =>
		stream.respond(
			{ ":status": 200, "grpc-status": "7", "grpc-message": "refused:%20other-gateway" },
			{ endStream: true },
		),
	);
	await new Promise<void>((resolve) => refusing.listen(path, resolve));
	t.teardown(() => refusing.close());
	agent.dropped(2, 1_000);
	for (at.passedMs of [2_000, 7_000]) await agent.ask();
	t.same(logged.splice(0), ["ingest refuses this Envoy's access log: refused: other-gateway"], "once");
	await new Promise((resolve) => refusing.close(resolve));
	for (at.passedMs of [12_000, 13_000]) await agent.ask();
	t.match(logged.splice(0), [/^ingest cannot be reached, .*: connect ENOENT/]);
	await open();
	at.passedMs = 14_000;
	await agent.ask();
	await agent.ask();
	t.match(logged, [/^ingest takes this Envoy's access log again, after 13 s/]);
	t.same(reported, [[2, 500_000 - 13_000]]);
});
