/** Each process's metrics as JSON on its UNIX socket; control merges them into one Prometheus page. */
import { createServer, get, type Server } from "node:http";
import type { Meter, MetricsJson } from "../../observe/telemetry/meter.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";

const TIMEOUT_MS = 2_000;
const METRICS_PATH = "/metrics-json";

/** Serves GET /metrics-json. */
export async function serveMetrics(socketPath: string, meter: Pick<Meter, "json">): Promise<Server> {
	await claimSocket(socketPath);
	const server = createServer((request, response) => {
		if (request.method !== "GET" || request.url !== METRICS_PATH) return void response.writeHead(404).end();
		void meter
			.json()
			.then((json) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json)));
	});
	await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socketPath, resolve));
	await restrictSocket(socketPath);
	return server;
}

/** A process's metrics; null = it does not answer. */
export const readMetrics = (socketPath: string, timeoutMs?: number): Promise<MetricsJson | null> =>
	readJson<MetricsJson>(socketPath, METRICS_PATH, timeoutMs);

/** A gauge in prom-client's JSON. */
export interface GaugeJson {
	readonly name: string;
	readonly values: readonly { readonly value: number; readonly labels: Readonly<Record<string, string>> }[];
}

export const gaugesOf = (metrics: MetricsJson | null): readonly GaugeJson[] =>
	(metrics?.metrics ?? []) as readonly GaugeJson[];

/** GETs JSON from a process's UNIX socket; null = it does not answer. Never rejects. */
export function readJson<T>(socketPath: string, path: string, timeout = TIMEOUT_MS): Promise<T | null> {
	return new Promise((resolve) => {
		const none = () => resolve(null);
		const call = get({ socketPath, path, timeout }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.once("end", () => {
				if (response.statusCode !== 200) return none();
				try {
					resolve(JSON.parse(text));
				} catch {
					none();
				}
			});
		});
		call.once("timeout", () => call.destroy(new Error("timeout")));
		call.once("error", none);
	});
}
