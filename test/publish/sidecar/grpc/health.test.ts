import * as grpc from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { startEcho } from "./rig.js";

const identity = (bytes: Buffer): Buffer => bytes;

function client(t: Test, socketPath: string): grpc.Client {
	const made = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure());
	t.teardown(() => made.close());
	return made;
}

/** HealthCheckRequest. */
function about(service: string): Buffer {
	return service === "" ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
}

function check(client: grpc.Client, request: Buffer): Promise<string> {
	return new Promise((resolve) => {
		client.makeUnaryRequest("/grpc.health.v1.Health/Check", identity, identity, request, (error, response) => {
			resolve(error === null ? (response?.toString("hex") ?? "") : (grpc.status[error.code] ?? ""));
		});
	});
}

t.test("health checks by grpc-js know the probed names", async (t) => {
	const { socketPath, health } = await startEcho(t);
	const probe = client(t, socketPath);
	const readiness = [
		"",
		"readiness",
		"envoy.service.auth.v3.Authorization",
		"envoy.service.ext_proc.v3.ExternalProcessor",
	];
	for (const service of readiness) t.equal(await check(probe, about(service)), "0802", `${service}: NOT_SERVING`);
	t.equal(await check(probe, about("liveness")), "0801");
	health.setServing(true);
	for (const service of readiness) t.equal(await check(probe, about(service)), "0801", `${service}: SERVING`);
	t.equal(await check(probe, about("another.Service")), "NOT_FOUND");
	t.equal(await check(probe, Buffer.from([0x10, 0x01])), "0801", "an unknown field is passed over");
	t.equal(await check(probe, Buffer.from([0x0a, 0x40, 0x61])), "INTERNAL", "malformed");
	health.setServing(false);
	t.equal(await check(probe, about("")), "0802");
	t.equal(await check(probe, about("liveness")), "0801", "a sidecar without a table lives");
});
