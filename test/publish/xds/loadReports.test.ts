/** Load reports of a real Envoy, and of clients under a false name. */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type ClientDuplexStream, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import t from "tap";
import { loadMetrics } from "../../../src/cli/roles/loads.js";
import { NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import {
	type LoadStatsRequest,
	LoadStatsRequestSchema,
	type LoadStatsResponse,
} from "../../../src/gen/envoy/service/load_stats/v3/lrs_pb.js";
import { type ClusterLoad, LoadReportingServiceDefinition } from "../../../src/publish/xds/loadReports.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { grpcChannelCredentials, grpcPeerSpiffeId } from "../../../src/trust/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../../src/trust/identity/nodeTls.js";
import { startEnvoy } from "../../envoy/harness.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { startUpstream } from "../../fixtures/upstream.js";
import { seriesKey, TestMeter } from "../../observe/events/rig.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { id, identityOf } from "./identityOf.js";
import { published, tinyPlan } from "./tinyPlan.js";

const INTERVAL_MS = 100;
const CLUSTER = "a/v1";
const planAt = (port: number) =>
	published(tinyPlan({ gatewayPort: 0, services: { a: { host: "a", variants: { v1: port }, weights: { v1: 1 } } } }));

t.test("an Envoy reports successful, failed and active requests", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-loads-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const held: ServerResponse[] = [];
	const upstream = await startUpstream(t, (asked, response) => {
		if (asked.url === "/hold") held.push(response);
		else response.writeHead(asked.url === "/bad" ? 500 : 200).end();
	});
	const meter = new TestMeter();
	const take = loadMetrics(meter);
	let waiting: (() => void)[] = [];
	const server = new XdsServer({
		loads: {
			intervalMs: INTERVAL_MS,
			onReport: (node, loads) => {
				take(node, loads);
				for (const wake of waiting.splice(0)) wake();
			},
		},
	});
	t.teardown(() => server.close());
	const socketPath = join(directory, "ads.sock");
	await server.listen({ socketPath });
	server.publish(planAt(upstream), 1);
	const envoy = await startEnvoy(t, (adminSocket) =>
		dynamicBootstrap(socketPath, { collectors: NO_COLLECTORS, nodeId: "envoy-1", adminSocket }),
	);
	const ask = async (path: string): Promise<number> =>
		(await answerOf({ port: envoy.port("edge"), path, headers: { host: "a" } })).status;
	const until = async (seen: () => boolean): Promise<void> => {
		while (!seen()) await new Promise<void>((resolve) => waiting.push(resolve));
	};
	const total = (outcome: string) =>
		meter.counts.get(seriesKey("weir_load_requests_total", { variant: CLUSTER, outcome })) ?? 0;
	const underWay = () => meter.gauges.get(seriesKey("weir_load_in_progress", { variant: CLUSTER })) ?? 0;
	for (let round = 0; round < 5; round++) await ask("/");
	for (let round = 0; round < 3; round++) t.equal(await ask("/bad"), 500);
	await until(() => total("succeeded") === 5 && total("failed") === 3);
	const open = [ask("/hold"), ask("/hold")];
	await until(() => underWay() === 2);
	for (const response of held) response.end();
	t.same(await Promise.all(open), [200, 200]);
	await until(() => underWay() === 0 && total("succeeded") === 7);
	t.equal(total("failed"), 3, "each is counted once");
	const again = ask("/hold").catch(() => 0);
	await until(() => underWay() === 1);
	await envoy.stop();
	await again;
	waiting = [];
	await until(() => underWay() === 0);
	t.pass("nothing of an Envoy that is gone is under way");
});

const Client = makeClientConstructor(LoadReportingServiceDefinition, "LoadReportingService");

t.test("load reports are accepted only from Envoys under their own name, for published clusters", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const control = await identityOf(ca, id("weir/control"));
	const refused: (readonly [string, string | null])[] = [];
	const reports: (readonly [string, readonly ClusterLoad[]])[] = [];
	let reported = (): void => {};
	const server = new XdsServer({
		secure: {
			tls: mutualTls(control),
			admitPeers: (server, admit, refused) => admitPeers(server, control, admit, (_, id) => refused(id)),
			idOf: (call) => grpcPeerSpiffeId(call, control),
		},
		gatewaysOf: (spiffeId) => (spiffeId.endsWith("/rogue") ? [] : null),
		onRefused: (reason, id) => void refused.push([reason, id]),
		loads: {
			intervalMs: 1_000,
			onReport: (node, loads) => {
				reports.push([node, loads]);
				reported();
			},
		},
	});
	t.teardown(() => server.close());
	const address = await server.listen({ host: "127.0.0.1", port: 0 });
	const target = "port" in address ? `127.0.0.1:${address.port}` : "";
	server.publish(planAt(1), 1);
	const clients: InstanceType<typeof Client>[] = [];
	t.teardown(() => {
		for (const client of clients) client.close();
	});
	const connect = async (path: string): Promise<ClientDuplexStream<LoadStatsRequest, LoadStatsResponse>> => {
		const own = await identityOf(ca, id(path));
		const client = new Client(
			target,
			grpcChannelCredentials(own, (server) => server === id("weir/control")),
		);
		clients.push(client);
		return client.streamLoadStats?.() as ClientDuplexStream<LoadStatsRequest, LoadStatsResponse>;
	};
	const report = (node: string, ...clusters: readonly string[]): LoadStatsRequest =>
		create(LoadStatsRequestSchema, {
			node: { id: node },
			clusterStats: clusters.map((clusterName) => ({
				clusterName,
				totalDroppedRequests: 2n,
				upstreamLocalityStats: [{ totalSuccessfulRequests: 3n }, { totalSuccessfulRequests: 4n }],
			})),
		});
	const ended = async (path: string, ...messages: readonly LoadStatsRequest[]): Promise<number> => {
		const call = await connect(path);
		const error = new Promise<ServiceError>((resolve) => call.on("error", resolve));
		call.on("data", () => {});
		for (const message of messages) call.write(message);
		const { code } = await error;
		clients.at(-1)?.close();
		return code;
	};
	t.equal(await ended("weir/predictor", report("edge", CLUSTER)), 14, "no connection");
	t.equal(await ended("weir/sidecar", report("edge", CLUSTER)), 7);
	t.equal(await ended("weir/envoy/edge", report("other", CLUSTER)), 7, "another's name");
	t.equal(await ended("weir/envoy/edge", report("", CLUSTER)), 7, "no name");
	t.equal(await ended("weir/envoy/rogue", report("rogue", CLUSTER)), 7, "no Gateway");
	t.same(refused, [
		["not-a-client", id("weir/predictor")],
		["type", id("weir/sidecar")],
		["another-node", id("weir/envoy/edge")],
		["another-node", id("weir/envoy/edge")],
		["no-gateway", id("weir/envoy/rogue")],
	]);
	t.same(reports, [], "no report counts");

	const call = await connect("weir/envoy/edge");
	const asked = once(call, "data") as Promise<[LoadStatsResponse]>;
	call.write(report("edge"));
	const [{ clusters, sendAllClusters }] = await asked;
	t.same([clusters, sendAllClusters], [[CLUSTER], false], "published clusters are requested");
	const accepted = new Promise<void>((resolve) => {
		reported = resolve;
	});
	call.write(report("edge", CLUSTER, "weir_ads", "b/v1"));
	await accepted;
	t.same(reports, [["edge", [{ cluster: CLUSTER, succeeded: 7, failed: 0, dropped: 2, inProgress: 0 }]]]);
	const gone = new Promise<ServiceError>((resolve) => call.on("error", resolve));
	call.write(report("other", CLUSTER));
	t.equal((await gone).code, 7, "a stream keeps its name");
	t.same(reports.at(-1), ["edge", []]);
});
