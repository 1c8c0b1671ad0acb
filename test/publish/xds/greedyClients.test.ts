/** One client's messages, names and streams are bounded, so that xds serves the others and can report them. */

import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { type ClientDuplexStream, makeClientConstructor, status } from "@grpc/grpc-js";
import t from "tap";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { TABLE_ERROR_CHARS_MAX, XDS_STREAMS_MAX } from "../../../src/limits/index.js";
import { XDS_NAME_CHARS_MAX, XDS_NAMES_MAX } from "../../../src/publish/xds/connection.js";
import { XDS_STREAMS_OF_CONNECTION_MAX } from "../../../src/publish/xds/grpcListeners.js";
import { XDS_STREAMS_OF_ENVOY_MAX } from "../../../src/publish/xds/peer.js";
import { mentions } from "../../../src/publish/xds/rejection.js";
import { TYPE_URLS } from "../../../src/publish/xds/resource.js";
import type { XdsServer } from "../../../src/publish/xds/server.js";
import { AggregatedDiscoveryServiceDefinition } from "../../../src/publish/xds/service.js";
import { SERVICE } from "../sidecar/sampleTable.js";
import { closedServices } from "./adsClient.js";
import { id } from "./identityOf.js";
import { published } from "./tinyPlan.js";
import { start, TINY } from "./tlsScene.js";

const LONG = 4_190_000;
const wholeOf = (server: XdsServer): number => JSON.stringify(server.proxies()).length;

/** Resolves when the condition holds; checked at each change that the server reports. */
function until(server: XdsServer, condition: () => boolean): Promise<void> {
	return new Promise((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (!condition()) return;
			stop();
			resolve();
		});
	});
}

/** Streams of one id, each of which subscribes and reads. */
const Client = makeClientConstructor(AggregatedDiscoveryServiceDefinition, "AggregatedDiscoveryService");
type Stream = ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
const firstOf = (type: "listeners" | "tables" | "routes", node: string): DiscoveryRequest =>
	create(DiscoveryRequestSchema, {
		typeUrl: TYPE_URLS[type],
		node: { id: node },
		resourceNames: type === "tables" ? ["plan"] : [],
	});

t.test("an error message of megabytes is cut to 500 characters, and searched for the names in it", async (t) => {
	const { server, connect } = await start(t);
	server.publish(TINY, 1);
	const envoy = await connect("weir/envoy/edge");
	envoy.ask("clusters", [], undefined, { node: "edge" });
	const nacked = until(server, () => server.proxies()[0]?.types.clusters?.state === "ERROR");
	envoy.ask("clusters", [], await envoy.next(), {
		error: `${"\u0001".repeat(30_000)} a/v1 ${"\u0001".repeat(LONG - 40_000)}`,
	});
	await nacked;
	const { error = "", source } = server.proxies()[0]?.types.clusters ?? {};
	t.ok(error.length <= TABLE_ERROR_CHARS_MAX);
	t.notMatch(error, /\p{Cc}/u, "each of which is six characters of a report");
	t.equal(source, "Service a");
	t.ok(wholeOf(server) < 2_000);
});

t.test("long node ids, versions and messages of closed Services are cut or refused too", async (t) => {
	const { server, connect } = await start(t);
	server.publish(published(TINY.envoy, { gateways: [], services: [SERVICE] }), 1);
	for (const more of ["\u0001", "x".repeat(LONG)]) {
		const named = await connect("weir/sidecar");
		named.ask("tables", ["plan"], undefined, { node: `weir-sidecar/${more}` });
		t.match(await named.ended, { code: status.INVALID_ARGUMENT, details: /printable/ });
	}
	const sidecar = await connect("weir/sidecar");
	const versionInfo = "v".repeat(LONG);
	sidecar.send(create(DiscoveryRequestSchema, { ...firstOf("tables", "weir-sidecar/h/1"), versionInfo }));
	const closed = until(server, () => server.proxies()[0]?.closed?.length === 1);
	const response = await sidecar.next();
	t.ok(wholeOf(server) < 2_000);
	const services = [{ name: SERVICE.name, why: "\u0001".repeat(LONG / 2) }];
	sidecar.ask("tables", ["plan"], response, { details: [closedServices({ services })] });
	await closed;
	t.ok(wholeOf(server) < 3_000);
});

t.test("a request that names more resources than there can be is refused", async (t) => {
	const { server, refused, connect } = await start(t);
	server.publish(TINY, 1);
	const many = (count: number) => Array.from({ length: count }, (_, at) => String(at));
	for (const names of [many(XDS_NAMES_MAX + 1), ["x".repeat(XDS_NAME_CHARS_MAX + 1)]]) {
		const envoy = await connect("weir/envoy/edge");
		envoy.ask("endpoints", names, undefined, { node: "edge" });
		t.equal((await envoy.ended).code, status.RESOURCE_EXHAUSTED);
	}
	t.same(refused, ["too-many", "too-many"]);
	const envoy = await connect("weir/envoy/edge");
	envoy.ask("endpoints", [...many(XDS_NAMES_MAX - 1), "a/v1"], undefined, { node: "edge" });
	t.equal((await envoy.next()).resources.length, 1);
});

t.test("a client beyond the bound of streams is refused and counted; each id has its own bound", async (t) => {
	const { server, target, refused, ids, channel, connect } = await start(t);
	server.publish(TINY, 1);
	const open = async (path: string, nodes: readonly string[], type: "listeners" | "tables") => {
		const shown = await channel(path);
		const connection = () => {
			const client = new Client(target, shown, { "grpc.use_local_subchannel_pool": 1 });
			t.teardown(() => client.close());
			return client;
		};
		const clients = Array.from({ length: Math.ceil(nodes.length / XDS_STREAMS_OF_CONNECTION_MAX) }, connection);
		const all = nodes.map((node, at) => {
			const client = clients[Math.floor(at / XDS_STREAMS_OF_CONNECTION_MAX)];
			const stream = client?.streamAggregatedResources?.() as Stream;
			const answered = Promise.race([
				once(stream, "data").then(() => "served"),
				new Promise<string>((resolve) =>
					stream.on("error", (error: Error & { code: number }) => resolve(String(error.code))),
				),
			]);
			stream.on("data", () => {});
			stream.write(firstOf(type, node));
			return answered;
		});
		return Promise.all(all);
	};
	const tenant = await open("weir/envoy/tenant", Array(XDS_STREAMS_OF_ENVOY_MAX + 1).fill("tenant"), "listeners");
	t.same(
		tenant.filter((one) => one !== "served"),
		["8"],
	);
	const sidecars = Array.from(
		{ length: XDS_STREAMS_MAX - XDS_STREAMS_OF_ENVOY_MAX },
		(_, at) => `weir-sidecar/h/${at}`,
	);
	t.same(new Set(await open("weir/sidecar", sidecars, "tables")), new Set(["served"]));
	refused.length = 0;
	ids.length = 0;
	const edge = await connect("weir/envoy/edge");
	edge.ask("listeners", [], undefined, { node: "edge" });
	t.equal((await edge.ended).code, status.RESOURCE_EXHAUSTED);
	t.same([refused, ids], [["too-many"], [id("weir/envoy/edge")]]);
	t.equal(server.proxies().length, XDS_STREAMS_MAX);
});

t.test("a client that is neither Envoy nor sidecar keeps no connection", async (t) => {
	const { ca, target, refused, ids } = await start(t);
	const app = await ca.issue({ spiffeId: id("ns/team/sa/app") });
	const [host = "", port = ""] = target.split(":");
	const socket = connectTls({
		...{ host, port: Number(port), ca: ca.certificate, cert: app.certificate, key: app.privateKey },
		checkServerIdentity: () => undefined,
		ALPNProtocols: ["h2"],
	});
	const session = connectHttp2("https://xds", { createConnection: () => socket });
	session.on("error", () => {});
	await once(socket, "close");
	t.same([refused, ids], [["not-a-client"], [id("ns/team/sa/app")]]);
});

t.test("the search for names in a long message is fast", (t) => {
	const words = `${"team/s1/v1 ".repeat(6_000)}`;
	const began = performance.now();
	for (let name = 0; name < 5_000; name++) mentions(words, `team/x${name}/v1`);
	t.ok(performance.now() - began < 2_000);
	t.ok(mentions(`no: ${words}`, "team/s1/v1"));
	t.notOk(mentions(words, "team/s1/v"));
	t.end();
});
