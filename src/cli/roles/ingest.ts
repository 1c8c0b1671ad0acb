/** Ingest: receives access logs, outcomes and spans; serves aggregates and the paths of recent requests. */
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { parsePercentage } from "../../declare/resources/fields/units.js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { PPM } from "../../limits/index.js";
import { watchAccessLog } from "../../observe/agent/accessLogLosses.js";
import { envoyAdmin } from "../../observe/agent/envoyAdmin.js";
import { startIngest } from "../../observe/events/ingest.js";
import type { AccessLogTcp } from "../../observe/events/receive/accessLog/accessLog.js";
import { traceForwarder } from "../../observe/telemetry/forward.js";
import { otlpHttpHandler, startOtlpReceiver } from "../../observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../observe/telemetry/spanStore.js";
import { renderTrace } from "../../observe/telemetry/tracePath.js";
import { tracesEndpoint } from "../../observe/telemetry/tracesEndpoint.js";
import { StateClient } from "../../operate/api/client.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import { gatewaysOfEnvoy, type RoleContext, type RunningRole } from "./role.js";

export async function startIngestRole(context: RoleContext): Promise<RunningRole> {
	const { at, log, meter, decisionLog } = context;
	const allowedDecisionsPpm = allowedShare(decisionLog ?? "denied");
	const store = new SpanStore();
	const state = new StateClient(at.apiSocket);
	const ingest = await startIngest({
		dataDirectory: join(at.dataDirectory, "events"),
		accessLogSocket: at.accessLogSocket,
		httpSocket: at.ingestSocket,
		accessLogTcp: await accessLogListener(context),
		plans: (version) => state.plan(version),
		newestPlan: () => state.newestPlan(),
		metrics: () => state.metricNames(),
		allowedRecordsPpm: allowedDecisionsPpm,
		clock: Date.now,
		meter,
		metricsJson: () => meter.json(),
		log,
	});
	const losses = watchAccessLog(
		{ admin: envoyAdmin(at.envoyAdminSocket), clock: Date.now, fresh: false },
		{ dropped: (entries, sinceMs) => ingest.undelivered(entries, sinceMs) },
	);
	const endpoint = tracesEndpoint(process.env);
	const forward = endpoint === null ? undefined : traceForwarder(endpoint, meter);
	await claimSocket(at.tracesSocket);
	const receiver = await startOtlpReceiver({ address: `unix:${at.tracesSocket}`, store, meter, forward });
	await restrictSocket(at.tracesSocket);
	const traces = await serveTraces(at.traceQuerySocket, store, otlpHttpHandler({ store, meter }));
	return {
		ready: ingest.accessLogPort === null ? {} : { accessLogPort: ingest.accessLogPort },
		close: async () => {
			losses.close();
			traces.close();
			await receiver.close();
			await ingest.close();
		},
	};
}

/** For Envoys on other machines: mTLS, each for its own Gateways. Loaded only if it is used. */
async function accessLogListener({
	identity,
	accessLogListen: listen,
	envoyGateways,
}: RoleContext): Promise<AccessLogTcp | null> {
	if (identity === null || listen === null) return null;
	const [{ grpcPeerSpiffeId }, { admitPeers, mutualTls }] = await Promise.all([
		import("../../trust/identity/grpcTls.js"),
		import("../../trust/identity/nodeTls.js"),
	]);
	const trustDomain = trustDomainOf(identity.current().spiffeId);
	return {
		address: listen.host,
		port: listen.port,
		tls: mutualTls(identity),
		admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
		peer: (call) => grpcPeerSpiffeId(call, identity),
		trust: {
			trustDomain,
			gatewaysOf: (name) => gatewaysOfEnvoy(envoyGateways, `spiffe://${trustDomain}/weir/envoy/${name}`),
		},
	};
}

/** Parts per million of allowed requests that are recorded. */
export function allowedShare(text: string): number {
	const ppm = text === "denied" ? 0 : text === "all" ? PPM : parsePercentage(text);
	if (ppm !== null) return ppm;
	throw new WeirError("invalid-argument", `'${text}' is not a share of requests`, "write denied, all, or such as 1%");
}

/** POST /v1/traces takes spans of our own processes; GET /v1/traces/ID prints a request's path, ?format=json its spans. */
async function serveTraces(socketPath: string, store: SpanStore, take: ReturnType<typeof otlpHttpHandler>) {
	await claimSocket(socketPath);
	const server = createServer((request, response) => {
		const asked = /^\/v1\/traces\/([^/?]+)(\?format=json)?$/.exec(request.url ?? "");
		if (asked?.[1] === undefined) void take(request, response);
		else answerTrace(store, decoded(asked[1]), asked[2] !== undefined, response);
	});
	await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socketPath, resolve));
	await restrictSocket(socketPath);
	return server;
}

/** An invalid percent-encoding matches no trace; it must not end the process. */
function decoded(segment: string): string {
	try {
		return decodeURIComponent(segment);
	} catch {
		return segment;
	}
}

/** @param id trace id or x-request-id */
function answerTrace(store: SpanStore, id: string, asJson: boolean, response: ServerResponse): void {
	const spans = store.find(id);
	if (asJson) response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ spans }));
	else if (spans.length === 0) response.writeHead(404, { "content-type": "text/plain" }).end("no recent span of it\n");
	else response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end(renderTrace(spans));
}
