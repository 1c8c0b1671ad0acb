/** Health checks pass at servers that check the authority of a request: a real Envoy, HTTP/2 and gRPC. */
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { gateway, resourceSet, service, variant } from "../../fixtures/resources.js";

const CHECK = { path: "/healthy", intervalMs: 1_000, timeoutMs: 1_000, healthyThreshold: 1, unhealthyThreshold: 1 };

/** Envoy's health status of the one endpoint after its first check; Envoy accepts no connections before. */
async function health(t: Test, port: number, spec: Partial<Service["spec"]>): Promise<string> {
	const plan = compile(
		resourceSet({ gateways: [gateway()], services: [service("model", [variant("v1", port)], spec)] }),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const lines = (await envoy.admin("/clusters")).split("\n");
	return (
		lines
			.find((line) => line.startsWith(`model/v1::127.0.0.1:${port}::health_flags::`))
			?.split("::")
			.at(-1) ?? ""
	);
}

t.test("a health check's result holds at once; without one Envoy's own panic window stays", async (t) => {
	const windowOf = (healthCheck: Service["spec"]["healthCheck"]): unknown => {
		const services = [service("model", [variant("v1", 1)], { healthCheck })];
		const { clusters } = compile(resourceSet({ gateways: [gateway()], services }), EMPTY_STATUS, {
			collectors: NO_COLLECTORS,
		}).envoy;
		const config = clusters[0]?.common_lb_config as { update_merge_window?: unknown } | undefined;
		return config?.update_merge_window;
	};
	// CommonLbConfig.update_merge_window: 1 s where it is left out. How soon a request is served then is a time.
	t.equal(windowOf(CHECK), "0s");
	t.equal(windowOf(null), undefined);
});

for (const [hosts, authority] of [
	[["model.test"], "model.test"],
	[["*.model.test", "other.test"], "other.test"],
	[["*.model.test"], "health.model.test"],
] as const)
	t.test(`an HTTP/2 health check passes at ${hosts.join(", ")}`, async (t) => {
		const asked: unknown[] = [];
		const server = createServer((request, response) => {
			asked.push(request.headers[":authority"], request.headers[":path"]);
			response.end();
		});
		t.teardown(() => server.close());
		await once(server.listen(0, "127.0.0.1"), "listening");
		const { port } = server.address() as AddressInfo;
		t.equal(await health(t, port, { hosts, protocol: "http2", healthCheck: CHECK }), "healthy");
		t.same(asked.slice(0, 2), [authority, "/healthy"]);
	});

t.test("a gRPC health check passes by grpc.health.v1", async (t) => {
	const bytes = (value: Buffer): Buffer => value;
	const server = new Server();
	const hosts: string[] = [];
	const method = {
		...{ path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false },
		...{ requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes },
	};
	server.addService(
		{ Check: method },
		{
			Check: (call: { getHost(): string }, answer: (error: null, value: Buffer) => void) => {
				hosts.push(call.getHost());
				// HealthCheckResponse {status: SERVING}
				answer(null, Buffer.from([8, 1]));
			},
		},
	);
	const port = await new Promise<number>((resolve, reject) =>
		server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
			error === null ? resolve(bound) : reject(error),
		),
	);
	t.teardown(() => server.forceShutdown());
	t.equal(await health(t, port, { protocol: "grpc", healthCheck: { ...CHECK, path: null } }), "healthy");
	t.equal(hosts[0], "model.test");
});
