/**
 * A Service may name control's own listeners as endpoints, and Envoy shows its SVID there. A client behind Envoy must not act as
 * Envoy at them.
 */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
	type ClientDuplexStream,
	type ClientWritableStream,
	credentials,
	makeClientConstructor,
	type ServiceError,
} from "@grpc/grpc-js";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { staticBootstrap } from "../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { type LoadStatsRequest, LoadStatsRequestSchema } from "../../src/gen/envoy/service/load_stats/v3/lrs_pb.js";
import { serveAccessLogTcp } from "../../src/observe/events/receive/accessLog/accessLog.js";
import { startApi } from "../../src/operate/api/api.js";
import { Store } from "../../src/operate/state/store/store.js";
import { LoadReportingServiceDefinition } from "../../src/publish/xds/loadReports.js";
import { XdsServer } from "../../src/publish/xds/server.js";
import { startCa } from "../../src/trust/identity/ca.js";
import { grpcPeerSpiffeId } from "../../src/trust/identity/grpcTls.js";
import { admitPeers, clientTls, httpPeerSpiffeId, mutualTls } from "../../src/trust/identity/nodeTls.js";
import { startEnvoy } from "../envoy/harness.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { encode } from "../observe/events/rig.js";
import { AdsClient } from "../publish/xds/adsClient.js";
import { published, tinyPlan } from "../publish/xds/tinyPlan.js";
import { ENVOY, id, identityOf, scratch, TRUST_DOMAIN, until } from "../trust/identity/mesh.js";
import { byItsSession } from "../trust/identity/resumption.js";

t.setTimeout(120_000);

/** An id as SPIRE may issue it: it does not name control. */
const CONTROL = `spiffe://${TRUST_DOMAIN}/ns/weir/sa/control`;
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;

t.test("a client behind Envoy cannot act as Envoy", async (t) => {
	const directory = await scratch(t);
	const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN });
	t.teardown(() => ca.close());
	const socket = (name: string) => join(directory, "run", `${name}.sock`);
	await ca.workload(ENVOY, socket("envoy"));
	await ca.workload(CONTROL, socket("control"));
	const control = await identityOf(t, socket("control"));
	const refused: string[] = [];
	const server = new XdsServer({
		secure: {
			tls: mutualTls(control),
			admitPeers: (server, admit, refused) => admitPeers(server, control, admit, (_, id) => refused(id)),
			idOf: (call) => grpcPeerSpiffeId(call, control),
		},
		gatewaysOf: () => null,
		onRefused: (reason) => refused.push(reason),
	});
	t.teardown(() => server.close());
	const xds = await server.listen({ host: "127.0.0.1", port: 0 });
	const xdsPort = "port" in xds ? xds.port : 0;
	server.publish(
		published(
			tinyPlan({ gatewayPort: 8080, services: { a: { host: "a", variants: { v1: 1001 }, weights: { v1: 1 } } } }),
		),
		1,
	);
	let taken = 0;
	const log = { error: () => {}, warn: () => {}, info: () => {} };
	const accessLog = await serveAccessLogTcp(
		{
			address: "127.0.0.1",
			port: 0,
			tls: mutualTls(control),
			admitPeers: (server, admit, refused) => admitPeers(server, control, admit, (_, id) => refused(id)),
			peer: (call) => grpcPeerSpiffeId(call, control),
			trust: { trustDomain: TRUST_DOMAIN, gatewaysOf: () => null },
		},
		{
			offer: () => void taken++,
			broken: () => {},
			broke: () => undefined,
			opened: () => undefined,
			undelivered: () => undefined,
			impossible: () => {},
			refused: (fault) => refused.push(fault),
			handshakeFailed: (fault) => refused.push(fault),
		},
		Date.now,
		log,
	);
	t.teardown(() => accessLog.close());

	const asked: string[] = [];
	const state = new Store(join(directory, "state"));
	t.teardown(() => state.close());
	const { certificate, privateKey, trustBundle } = control.current();
	const api = await startApi({
		store: state,
		socket: join(directory, "api", "api.sock"),
		// A client with Envoy's identity has all rights here.
		admins: [ENVOY],
		tcp: {
			address: "127.0.0.1",
			port: 0,
			tls: { cert: certificate, key: privateKey, ca: trustBundle },
			peer: (request) => {
				asked.push(request.url ?? "");
				return httpPeerSpiffeId(request, control);
			},
		},
	});
	t.teardown(() => api.close());

	const evil = (name: string, port: number, identities: readonly string[] | null) =>
		service(name, [variant("v1", port)], { protocol: "grpc", identities });
	const plan = compile(
		resourceSet({
			gateways: [gateway()],
			services: [
				evil("xds", xdsPort, [CONTROL]),
				evil("log", accessLog.port, [CONTROL]),
				evil("plain", xdsPort, null),
				service("api", [variant("v1", Number(new URL(api.url).port))], { identities: [CONTROL] }),
				evil("named", xdsPort, [CONTROL, id("control")]),
			],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	t.match(
		plan.rules.find(({ rule }) => rule === "Service named: endpoints")?.because,
		/left out: spec\.identities names spiffe:\/\/weir\.test\/weir\/control/,
	);
	const identitySocket = socket("envoy");
	const envoy = await startEnvoy(t, (adminSocket) =>
		staticBootstrap(plan.envoy, { collectors: NO_COLLECTORS, adminSocket, nodeId: "n", identitySocket }),
	);
	const target = `127.0.0.1:${envoy.port()}`;
	const take = async (host: string): Promise<ServiceError> => {
		const client = new AdsClient(target, credentials.createInsecure(), host);
		client.ask("clusters", [], undefined, { node: "gateway" });
		const heard = client.next();
		const answer = await Promise.race([client.ended, heard]);
		client.close();
		if ("resources" in answer) throw new Error(`control has served an unauthorised client: ${answer.typeUrl}`);
		return answer;
	};
	// On a busy machine a handshake may take longer than Envoy waits: until control itself has answered.
	await until(async () => (await take("xds.test")).code === UNAUTHENTICATED, "control refuses requests through Envoy");
	t.equal(refused.at(-1), "no-svid");
	t.match(await take("plain.test"), { code: UNAVAILABLE }, "without TLS there is no connection");
	t.match(await take("named.test"), { code: UNAVAILABLE }, "and the plan leads to no part of the mesh");

	const status = async (): Promise<number> => {
		const sent = request({ host: "127.0.0.1", port: envoy.port(), path: "/v1/status", headers: { host: "api.test" } });
		sent.end();
		const [response] = (await once(sent, "response")) as [IncomingMessage];
		response.resume();
		return response.statusCode ?? 0;
	};
	await until(async () => (await status()) === 403, "the API refuses what comes through Envoy");
	t.ok(asked.includes("/v1/status"), "it was the API that refused, and it had Envoy's certificate");
	const direct = httpsRequest(`${api.url}/v1/status`, {
		agent: false,
		...clientTls(await identityOf(t, socket("envoy")), (server) => server === CONTROL),
	});
	direct.end();
	const [own] = (await once(direct, "response")) as [IncomingMessage];
	own.resume();
	t.equal(own.statusCode, 200, "by itself it may");
	const envoyTls = clientTls(await identityOf(t, socket("envoy")), (server) => server === CONTROL);
	for (const [listener, port, ALPNProtocols] of [
		["xds", xdsPort, ["h2"]],
		["access log", accessLog.port, ["h2"]],
		["api", Number(new URL(api.url).port), []],
	] as const) {
		const { first, second } = await byItsSession(port, { ...envoyTls, ALPNProtocols: [...ALPNProtocols] });
		t.not(first.received, "", listener);
		t.match(second, { reused: false, received: "" }, `${listener}: a session is no certificate`);
	}

	refused.length = 0;
	const LoadClient = makeClientConstructor(LoadReportingServiceDefinition, "LoadReportingService");
	const loads = new LoadClient(target, credentials.createInsecure(), { "grpc.default_authority": "xds.test" });
	t.teardown(() => loads.close());
	const reports = loads.streamLoadStats?.() as ClientDuplexStream<LoadStatsRequest, object>;
	const reported = new Promise<ServiceError>((resolve) => reports.on("error", resolve));
	reports.on("data", () => t.fail("a load report was asked for"));
	reports.write(create(LoadStatsRequestSchema, { node: { id: "gateway" } }));
	t.match(await reported, { code: UNAUTHENTICATED });

	const LogClient = makeClientConstructor(
		{
			streamAccessLogs: {
				path: "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
				requestStream: true,
				responseStream: false,
				requestSerialize: (message: Buffer) => message,
				requestDeserialize: (bytes: Buffer) => bytes,
				responseSerialize: (message: Buffer) => message,
				responseDeserialize: (bytes: Buffer) => bytes,
			},
		},
		"AccessLogService",
	);
	const logs = new LogClient(target, credentials.createInsecure(), { "grpc.default_authority": "log.test" });
	t.teardown(() => logs.close());
	const forge = (): Promise<number> =>
		new Promise((resolve) => {
			const stream = logs.streamAccessLogs?.((error: ServiceError | null) =>
				resolve(error?.code ?? 0),
			) as ClientWritableStream<Buffer>;
			stream.on("error", () => {});
			const end = { kind: "end", unit: null, requestId: "forged", startMs: Date.now(), status: 503 } as const;
			stream.write(encode([end], { node: "gateway", log: "weir|edge" }));
			stream.end();
		});
	await until(async () => (await forge()) === PERMISSION_DENIED, "the access log refuses what comes through Envoy");
	t.equal(taken, 0);
	t.ok(refused.includes("no-identity"), refused.join());
});
