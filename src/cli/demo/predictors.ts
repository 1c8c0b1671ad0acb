/**
 * The demo's model servers, in one child process: a predictor per Variant, each for the mesh's Envoy alone (mTLS). A
 * delayed Variant is a predictor on a UNIX socket behind a front that waits, as a slow model would.
 */
import { Agent, request } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PREDICTOR_CONNECTIONS_MAX } from "../../limits/index.js";
import { startTracing } from "../../observe/telemetry/tracing.js";
import { clientRule, isClient } from "../../serve/predictor/clients.js";
import { startPredictor } from "../../serve/predictor/server.js";
import { admitPeers, followRotation, serverTls } from "../../trust/identity/nodeTls.js";
import { limitConnections } from "../../trust/tls/connectionLimits.js";
import { serveUntilStopped } from "../stack/child.js";
import { ownIdentity } from "../stack/identity.js";
import type { DemoService } from "./modes.js";
import { FIXTURES } from "./people.js";

export interface PredictorOrders {
	readonly services: readonly DemoService[];
	/** UNIX socket of the identity, and who may ask. */
	readonly identity: string;
	readonly client: string;
	/** 0700, for sockets. */
	readonly directory: string;
}

const { services, identity: identitySocket, client, directory }: PredictorOrders = JSON.parse(process.argv[2] ?? "{}");
const tracing = startTracing({ environment: process.env, serviceName: "weir-predictor" });
const identity = await ownIdentity(identitySocket);
const clients = [clientRule(client)];
const closers: (() => Promise<void>)[] = [];
const ports: [string, { v1: number; v2: number }][] = [];
for (const { service, baseline, challenger } of services) {
	ports.push([service, { v1: await serve(service, "v1", baseline), v2: await serve(service, "v2", challenger) }]);
}
serveUntilStopped(ports, async () => {
	await Promise.all(closers.map((close) => close()));
	identity.close();
	await tracing.shutdown();
});

async function serve(service: string, version: string, { model, delayMs }: DemoService["baseline"]): Promise<number> {
	const socketPath = join(directory, `${service}-${version}.sock`);
	const predictor = await startPredictor({
		models: [{ name: "employment", version, path: fileURLToPath(new URL(`${model}.onnx`, FIXTURES)) }],
		address: delayMs === 0 ? "127.0.0.1" : `unix:${socketPath}`,
		port: 0,
		workers: 1,
		...(delayMs === 0 ? { guard: { identity, clients } } : {}),
	});
	closers.push(() => predictor.close());
	return delayMs === 0 ? Number(new URL(predictor.url).port) : slowFront(socketPath, delayMs);
}

/**
 * Copies requests and keeps connections: all are of the one client that is let in, whose framing goes on with its
 * headers (Node's parser has judged it, and a chunked body stays chunked whatever the method).
 */
async function slowFront(socketPath: string, delayMs: number): Promise<number> {
	const agent = new Agent({ keepAlive: true });
	const front = createServer(serverTls(identity), (call, answer) => {
		setTimeout(() => {
			const { url: path, method, headers } = call;
			const onward = request({ socketPath, path, method, headers, agent }, (response) => {
				answer.writeHead(response.statusCode ?? 502, response.headers);
				response.pipe(answer);
			});
			onward.once("error", () => answer.destroy());
			call.pipe(onward);
		}, delayMs);
	});
	limitConnections(front, { connections: PREDICTOR_CONNECTIONS_MAX });
	admitPeers(front, identity, (id) => isClient(clients, id));
	closers.push(async () => followed());
	const followed = followRotation(front, identity);
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
