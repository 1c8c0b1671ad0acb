/** The api role: wishes and facts behind the public API; outcomes, traces and metrics of the others mounted on it. */
import { join } from "node:path";
import { startApi } from "../../state/api.js";
import { Store } from "../../state/store.js";
import { METRICS_CONTENT_TYPE, mergeMetrics } from "../../telemetry/meter.js";
import { forwardTo } from "./forward.js";
import { readMetrics } from "./metrics.js";
import type { RoleContext, RunningRole } from "./role.js";

export async function startApiRole({ at, log, meter, apiAddress, apiPort }: RoleContext): Promise<RunningRole> {
	const store = new Store(join(at.dataDirectory, "state"));
	const ingest = forwardTo(at.ingestSocket, "ingest");
	const api = await startApi({
		store,
		address: apiAddress,
		port: apiPort,
		socket: at.apiSocket,
		mounts: {
			"/v1/outcomes": ingest,
			"/v1/requests": ingest,
			"/v1/traces": forwardTo(at.traceQuerySocket, "ingest"),
			"/metrics": (_, response) => {
				const others = [at.ingestSocket, at.xdsMetricsSocket, at.rolloutMetricsSocket, at.sidecarMetricsSocket];
				Promise.all([meter.json(), ...others.map(readMetrics)])
					.then(mergeMetrics)
					.then(
						(text) => response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE }).end(text),
						(error: unknown) => {
							log.error("metrics cannot be read", { why: String(error) });
							response.writeHead(500).end();
						},
					);
			},
		},
		onError: (error) => log.error("the API failed to answer", { why: String(error) }),
	});
	return {
		ready: { api: api.url },
		close: async () => {
			await api.close();
			await store.close();
		},
	};
}
