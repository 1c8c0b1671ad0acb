/**
 * The demo's model servers, in one child process: a predictor per Variant. A delayed Variant is a predictor
 * behind a front that waits, as a slow model would.
 */
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { startPredictor } from "../../predictor/server.js";
import { startTracing } from "../../telemetry/tracing.js";
import { serveUntilStopped } from "../stack/child.js";
import type { DemoService } from "./modes.js";
import { FIXTURES } from "./people.js";

const services: readonly DemoService[] = JSON.parse(process.argv[2] ?? "[]");
const tracing = startTracing({ environment: process.env, serviceName: "weir-predictor" });
const closers: (() => Promise<void>)[] = [];
const ports: [string, { v1: number; v2: number }][] = [];
for (const { service, baseline, challenger } of services) {
	ports.push([service, { v1: await serve("v1", baseline), v2: await serve("v2", challenger) }]);
}
serveUntilStopped(ports, async () => {
	await Promise.all(closers.map((close) => close()));
	await tracing.shutdown();
});

async function serve(version: string, { model, delayMs }: DemoService["baseline"]): Promise<number> {
	const predictor = await startPredictor({
		models: [{ name: "employment", version, path: fileURLToPath(new URL(`${model}.onnx`, FIXTURES)) }],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
	});
	closers.push(() => predictor.close());
	return delayMs === 0 ? Number(new URL(predictor.url).port) : slowFront(predictor.url, delayMs);
}

async function slowFront(url: string, delayMs: number): Promise<number> {
	const agent = new Agent({ keepAlive: true });
	const front = createServer((call, answer) => {
		setTimeout(() => {
			const onward = request(url + call.url, { method: call.method, headers: call.headers, agent }, (response) => {
				answer.writeHead(response.statusCode ?? 502, response.headers);
				response.pipe(answer);
			});
			onward.once("error", () => answer.destroy());
			call.pipe(onward);
		}, delayMs);
	});
	await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
	closers.unshift(
		() =>
			new Promise((resolve) => {
				front.close(() => resolve());
				front.closeAllConnections();
				agent.destroy();
			}),
	);
	return (front.address() as AddressInfo).port;
}
