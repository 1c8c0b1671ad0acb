/** A rolling restart with a new bootstrap behind a balancer, as in docs/operations.md: no request fails. */

import { Agent } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { answerOf } from "../fixtures/answerOf.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { bootstrapOf, startEnvoy } from "./harness.js";
import { startVariantServer } from "./variantServer.js";

t.setTimeout(120_000);

t.test("an Envoy that its admin drained ends without a failed request", async (t) => {
	// Slow enough that requests are always under way.
	const upstream = await startVariantServer("v", (socket) => {
		setTimeout(() => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 50);
	});
	t.teardown(() => upstream.close());
	const resources = resourceSet({ gateways: [gateway()], services: [service("s", [variant("v1", upstream.port)])] });
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	const [old, other] = [await startEnvoy(t, bootstrapOf(plan)), await startEnvoy(t, bootstrapOf(plan))];
	/** The balancer: where new connections go. */
	let port = old.port();
	const agent = new Agent({ keepAlive: true, maxSockets: 8 });
	agent.createConnection = () => connect(port, "127.0.0.1");
	t.teardown(() => agent.destroy());
	const get = (): Promise<string> =>
		answerOf({ headers: { host: "s.test" }, agent }).then(({ status }) => String(status), String);
	const seen = new Map<string, number>();
	let running = true;
	const load = Array.from({ length: 8 }, async () => {
		while (running) {
			const answer = await get();
			seen.set(answer, (seen.get(answer) ?? 0) + 1);
			await pause(5);
		}
	});
	const connections = () => old.stat("http.gateway.edge.downstream_cx_active");
	while ((await connections()) < 8) await new Promise((resolve) => setTimeout(resolve, 20));
	port = other.port();
	await new Promise((resolve) => setTimeout(resolve, 200));
	t.equal(await connections(), 8, "connections that are open stay where they are");
	t.match(await old.admin("/healthcheck/fail", "POST"), /OK/);
	t.match(await old.admin("/ready"), /DRAINING/);
	while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
	await old.stop();
	const served = upstream.requests();
	while (upstream.requests() < served + 20) await new Promise((resolve) => setTimeout(resolve, 20));
	running = false;
	await Promise.all(load);
	t.same([...seen.keys()], ["200"], JSON.stringify([...seen]));
});
