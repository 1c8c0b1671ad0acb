/**
 * The echo server in a process of its own, for memory and for clients that would share its event loop. As a worker of
 * node:cluster (see workers.test.ts) it also returns the primary's messages.
 */
import { Health } from "../../../../src/publish/sidecar/grpc/health.js";
import { keepHeapSmall } from "../../../../src/publish/sidecar/grpc/heap.js";
import { startGrpcServer } from "../../../../src/publish/sidecar/grpc/server.js";
import { fromPrimary, sayAlive, toPrimary, workerNumber } from "../../../../src/publish/sidecar/grpc/workers.js";
import { garbageCollector } from "./garbageCollector.js";
import { echoMethods } from "./rig.js";

const [, , socketPath = ""] = process.argv;
const collect = garbageCollector();

/** As goMemory.ts reads it. */
function memory(): object {
	const resident = process.memoryUsage.rss();
	collect();
	const { heapUsed, external } = process.memoryUsage();
	return { resident: resident / 2 ** 20, living: (heapUsed + external) / 2 ** 20 };
}

sayAlive();
keepHeapSmall();
fromPrimary((message) => {
	if (message === "memory") toPrimary(memory());
	else toPrimary({ received: message });
});
const streams = { opened: 0, messages: 0, ended: 0 };
const methods = new Map(echoMethods(streams));
methods.set("/test.Echo/Pid", { kind: "unary", handle: () => Buffer.from(String(process.pid)) });
const server = await startGrpcServer({ listen: { socketPath }, methods, health: new Health() });
process.once("SIGTERM", () => {
	void server.drain(1_000).then(() => process.exit(0));
});
toPrimary({ ready: workerNumber() });
