/** xds restarts under a real Envoy: neither a Variant removed meanwhile nor later changes fail a request. */
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { temporaryDirectory } from "../../cli/command.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";

const SERVICES = ["replaced", "removed"];

t.test("after a restart of xds a removed Variant and fully replaced endpoints fail no request", async (t) => {
	const directory = await temporaryDirectory(t);
	const [a, b, c, d] = (await startVariants(t, 4)).map(({ port }) => port) as [number, number, number, number];
	const socket = join(directory, "ads.sock");
	const start = async () => {
		const server = new XdsServer();
		await server.listen({ socketPath: socket });
		let closing: Promise<void> | null = null;
		const close = (): Promise<void> => {
			closing ??= server.close();
			return closing;
		};
		t.teardown(close);
		return { server, close };
	};
	const publish = (server: XdsServer, services: readonly Service[], revision: number): Promise<void> => {
		const done = new Promise<void>((resolve) => server.onAcknowledged((one) => one === revision && resolve()));
		const set = resourceSet({ gateways: [gateway()], services });
		server.publish(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), revision);
		return done;
	};
	const healthCheck = HEALTH;
	const before = [
		service("replaced", [variant("v1", a)], { healthCheck }),
		service("removed", [variant("v1", b), variant("v2", d)], { healthCheck }),
	];
	const after = [
		service("replaced", [variant("v1", c)], { healthCheck }),
		service("removed", [variant("v2", d)], { healthCheck, defaultVariant: "v2" }),
	];
	const one = await start();
	const first = publish(one.server, before, 1);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socket, { ...options, adminSocket }));
	await first;

	const agent = new Agent({ keepAlive: true });
	t.teardown(() => agent.destroy());
	const answers = new Set<string>();
	const get = async (name: string): Promise<string> => {
		const answer = await answerOf(name);
		answers.add(answer);
		return answer;
	};
	const answerOf = (name: string): Promise<string> =>
		new Promise((resolve, reject) => {
			const options = { port: envoy.port("edge"), host: "127.0.0.1", headers: { host: `${name}.test` }, agent };
			request(options, (response) =>
				response
					.resume()
					.on("end", () => resolve(`${name} ${response.statusCode} ${response.headers["x-variant"] ?? "-"}`)),
			)
				.on("error", reject)
				.end();
		});
	let running = true;
	const traffic = SERVICES.map(async (name) => {
		while (running) {
			await get(name);
			await pause(5);
		}
	});
	for (const name of SERVICES) await get(name);
	await one.close();
	const two = await start();
	const [replaced, removed] = after as [Service, Service];
	await publish(two.server, [before[0] ?? replaced, removed], 2);
	await publish(two.server, after, 3);
	for (;;) if ((await get("replaced")).endsWith("v3") && (await get("removed")).endsWith("v4")) break;
	running = false;
	await Promise.all(traffic);
	t.same([...answers].sort(), ["removed 200 v2", "removed 200 v4", "replaced 200 v1", "replaced 200 v3"]);
});
