/**
 * The endpoints of a removed Variant get no more requests, although another namespace's silent endpoint delays the
 * routes. With a real Envoy.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { XDS_ACK_TIMEOUT_MS } from "../../../src/limits/index.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";

for (const taken of [true, false])
	t.test(`a removed Variant gets no requests${taken ? " when another Service has its endpoint" : ""}`, async (t) => {
		const directory = await mkdtemp(join(tmpdir(), "weir-removed-"));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		const [old, fresh] = (await startVariants(t, 2)).map(({ port }) => port) as [number, number];
		const silent = createServer().listen(0, "127.0.0.1");
		await new Promise((resolve) => silent.once("listening", resolve));
		t.teardown(() => silent.close());
		const evil = (name: string): Service =>
			service(name, [variant("v1", (silent.address() as AddressInfo).port)], {
				namespace: "evil",
				healthCheck: { ...HEALTH, timeoutMs: 10_000 },
			});
		const server = new XdsServer();
		t.teardown(() => server.close());
		const socket = join(directory, "ads.sock");
		await server.listen({ socketPath: socket });
		let revision = 0;
		const publish = (...services: readonly Service[]): void => {
			const set = resourceSet({ gateways: [gateway()], services });
			server.publish(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), ++revision);
		};
		const before = service("a", [variant("v1", old)]);
		const first = new Promise<void>((resolve) => server.onAcknowledged(() => resolve()));
		publish(before);
		const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
		const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socket, { ...options, adminSocket }));
		await first;
		const agent = new Agent({ keepAlive: true });
		t.teardown(() => agent.destroy());
		const get = (): Promise<string> =>
			new Promise((resolve, reject) => {
				const headers = { host: "a.test" };
				request({ port: envoy.port("edge"), host: "127.0.0.1", headers, agent }, (response) =>
					response.resume().on("end", () => resolve(String(response.headers["x-variant"] ?? "none"))),
				)
					.on("error", reject)
					.end();
			});

		publish(before, evil("one"));
		t.equal(await get(), "v1");
		const after = service("a", [variant("v2", fresh)], { defaultVariant: "v2" });
		publish(after, evil("two"), ...(taken ? [service("b", [variant("v1", old)], { namespace: "other" })] : []));
		const sinceMs = performance.now();
		while ((await get()) === "v1");
		t.ok(performance.now() - sinceMs < XDS_ACK_TIMEOUT_MS / 4, "long before the routes may leave it");
	});
