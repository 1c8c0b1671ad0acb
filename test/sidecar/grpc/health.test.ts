import * as grpc from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { startEcho, until } from "./rig.js";

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

t.test("Check: the names that are probed, by grpc-js", async (t) => {
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

t.test("Watch: the status now and each change; it ends with the call, or with the server", async (t) => {
	const { socketPath, health, server } = await startEcho(t);
	const watcher = client(t, socketPath);
	const watch = (service: string) => {
		const seen: string[] = [];
		const call = watcher.makeServerStreamRequest("/grpc.health.v1.Health/Watch", identity, identity, about(service));
		call.on("data", (message: Buffer) => seen.push(message.toString("hex")));
		const ended = new Promise<number>((resolve) => call.on("error", (error: grpc.ServiceError) => resolve(error.code)));
		return { seen, call, ended };
	};
	const ready = watch("readiness");
	const live = watch("liveness");
	const unknown = watch("another.Service");
	await until(() => ready.seen.length + live.seen.length + unknown.seen.length === 3);
	health.setServing(true);
	await until(() => ready.seen.length === 2);
	health.setServing(true);
	health.setServing(false);
	await until(() => ready.seen.length === 3);
	t.same(ready.seen, ["0802", "0801", "0802"]);
	t.same(live.seen, ["0801"]);
	t.same(unknown.seen, ["0803"], "SERVICE_UNKNOWN, and it stays open");
	live.call.cancel();
	t.equal(await live.ended, grpc.status.CANCELLED);
	await until(() => server.streams() === 2);
	const drained = server.drain(5_000);
	t.equal(await ready.ended, grpc.status.UNAVAILABLE);
	t.equal(await unknown.ended, grpc.status.UNAVAILABLE);
	await drained;
	t.equal(server.streams(), 0);
});
