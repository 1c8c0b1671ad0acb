/**
 * Where the processes of one machine meet: UNIX sockets in a 0700 run directory, files in a 0700 data directory.
 * Only the owner can enter them; all others connect by mTLS.
 */
import { mkdirSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Collectors } from "../../compile/plan/compiledPlan.js";
import { WeirError } from "../../error.js";
import { SOCKET_PATH_BYTES_MAX } from "../../limits/index.js";
import { requireOwnFolder } from "../../trust/local/socket.js";

export interface Places {
	readonly dataDirectory: string;
	readonly runDirectory: string;
	/** The API for the owner and for ingest. */
	readonly apiSocket: string;
	/** ingest's HTTP listener. */
	readonly ingestSocket: string;
	/** Envoy's access log (gRPC). */
	readonly accessLogSocket: string;
	/** OTLP/gRPC spans from Envoy. */
	readonly tracesSocket: string;
	/** OTLP/HTTP spans of our own processes, and questions for a request's path. */
	readonly traceQuerySocket: string;
	/** ext_authz and ext_proc. */
	readonly sidecarSocket: string;
	/** The sidecar's last good table. */
	readonly sidecarTableFile: string;
	/** Ports of Gateways that declare 0. */
	readonly gatewayPortsFile: string;
	/** xDS (ADS). */
	readonly adsSocket: string;
	readonly sidecarMetricsSocket: string;
	readonly envoyAdminSocket: string;
	/** The public addresses of the running stack, for the CLI. */
	readonly addressesFile: string;
}

/** Makes both directories, 0700. @throws WeirError where others can enter one, or a socket's path would be too long. */
export function places(data: string, run?: string): Places {
	const dataDirectory = resolve(data);
	const runDirectory = resolve(run ?? join(dataDirectory, "run"));
	const longest = join(runDirectory, "sidecar-metrics.sock");
	if (Buffer.byteLength(longest) > SOCKET_PATH_BYTES_MAX) {
		throw new WeirError(
			"invalid-argument",
			`${runDirectory} is too long for a UNIX socket`,
			`name a shorter directory with --data or --run (at most ${SOCKET_PATH_BYTES_MAX - 21} bytes)`,
		);
	}
	for (const directory of [dataDirectory, runDirectory]) {
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		// An existing directory is not changed behind its owner's back. That of the data may be a link to another disk.
		requireOwnFolder(directory === runDirectory ? directory : realpathSync(directory));
	}
	const at = (name: string) => join(runDirectory, name);
	return {
		dataDirectory,
		runDirectory,
		apiSocket: at("api.sock"),
		ingestSocket: at("ingest.sock"),
		accessLogSocket: at("access-log.sock"),
		tracesSocket: at("traces.sock"),
		traceQuerySocket: at("trace-query.sock"),
		adsSocket: at("ads.sock"),
		sidecarSocket: at("sidecar.sock"),
		sidecarTableFile: join(dataDirectory, "sidecar-table.json"),
		sidecarMetricsSocket: at("sidecar-metrics.sock"),
		envoyAdminSocket: at("envoy.sock"),
		gatewayPortsFile: at("gateway-ports.json"),
		addressesFile: join(dataDirectory, "addresses.json"),
	};
}

export const collectorsOf = (at: Places, traceSamplingPercent: number): Collectors => ({
	accessLogSocket: at.accessLogSocket,
	tracesSocket: at.tracesSocket,
	traceSamplingPercent,
});
