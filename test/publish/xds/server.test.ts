/** The ADS server over real gRPC, against a client that the test scripts. */
import { stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import t from "tap";
import { refusalsOf } from "../../../src/decide/rollout/refusal.js";
import { RouteConfigurationSchema } from "../../../src/gen/envoy/config/route/v3/route_pb.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { startServer } from "./adsClient.js";
import { published, type TinyService, tinyPlan } from "./tinyPlan.js";

const A: TinyService = { host: "a", variants: { v1: 1001, v2: 1002 }, weights: { v1: 9, v2: 1 } };
const CLUSTERS = ["a/v1", "a/v2"];
const plan = (service: TinyService) => published(tinyPlan({ gatewayPort: 8080, services: { a: service } }));
const weights = (v1: number, v2: number) => plan({ ...A, weights: { v1, v2 } });

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

const acknowledged = (server: XdsServer): Promise<number> =>
	new Promise((resolve) => {
		const stop = server.onAcknowledged((revision) => {
			stop();
			resolve(revision);
		});
	});

t.test("nothing is sent before the first publication, then everything that was asked for", async (t) => {
	const { server, connect } = await startServer(t);
	const client = connect();
	const known = until(server, () => server.proxies().length === 1);
	client.ask("clusters", [], undefined, { node: "envoy-1" });
	await known;
	t.match(server.proxies()[0], {
		node: "envoy-1",
		types: { clusters: { state: "NOT SENT" }, routes: { state: "NOT SENT" } },
	});
	t.equal(client.unread, 0);
	server.publish(weights(9, 1), 1);
	const response = await client.next();
	t.equal(response.resources.length, 2);
	t.equal(response.typeUrl, response.resources[0]?.typeUrl, "as the type inside");
	t.match(response.controlPlane?.identifier, /^weir \d+$/, "control_plane.identifier");
});

t.test("a revision is acknowledged when every connected client has acknowledged all of it", async (t) => {
	const { server, connect } = await startServer(t, { nowMs: () => 1234 });
	const acks: [number, number][] = [];
	server.onAcknowledged((revision, atMs) => acks.push([revision, atMs]));
	server.publish(weights(9, 1), 1);
	const [one, two] = [connect(), connect()];
	const first = acknowledged(server);
	await one.follow("envoy-1", CLUSTERS);
	await first;
	t.same(acks, [[1, 1234]]);
	const known = until(
		server,
		() => server.proxies().length === 2 && server.proxies()[1]?.types.routes?.state === "SYNCED",
	);
	await two.follow("envoy-2", CLUSTERS);
	await known;
	server.publish(weights(5, 5), 2);
	const [toOne, toTwo] = [await one.next(), await two.next()];
	const bytes = toOne.resources[0]?.value ?? new Uint8Array();
	t.match(fromBinary(RouteConfigurationSchema, bytes), { name: "weir/edge" });
	const halfway = until(server, () => server.proxies()[0]?.types.routes?.state === "SYNCED");
	one.ask("routes", ["weir/edge"], toOne);
	await halfway;
	t.equal(acks.length, 1, "one of two is not all");
	const second = acknowledged(server);
	two.ask("routes", ["weir/edge"], toTwo);
	t.equal(await second, 2);
});

t.test("a disconnected client no longer delays an acknowledgement; without clients there is none", async (t) => {
	const { server, connect } = await startServer(t);
	const acks: number[] = [];
	server.onAcknowledged((revision) => acks.push(revision));
	server.publish(weights(9, 1), 1);
	const [one, two] = [connect(), connect()];
	await one.follow("envoy-1", CLUSTERS);
	await two.follow("envoy-2", CLUSTERS);
	const bothKnown = until(server, () => server.proxies().every(({ types }) => types.routes?.state === "SYNCED"));
	await bothKnown;
	server.publish(weights(5, 5), 2);
	one.ask("routes", ["weir/edge"], await one.next());
	await two.next();
	const second = acknowledged(server);
	two.close();
	t.equal(await second, 2);
	const gone = until(server, () => server.proxies().length === 0);
	one.close();
	await gone;
	const changed = until(server, () => true);
	server.publish(weights(1, 1), 3);
	await changed;
	t.notOk(acks.includes(3));
});

t.test("a NACK is logged with the client's message and the declaration, and is not answered", async (t) => {
	const lines: string[] = [];
	let nowMs = 1_000;
	const { server, connect } = await startServer(t, { log: (line) => lines.push(line), nowMs: () => nowMs });
	server.publish(weights(9, 1), 1);
	const client = connect();
	const first = acknowledged(server);
	await client.follow("envoy-1", CLUSTERS);
	t.equal(await first, 1);
	server.publish(weights(0, 0), 2);
	const bad = await client.next();
	const rejected = until(server, () => server.proxies()[0]?.types.routes?.state === "ERROR");
	client.ask("routes", ["weir/edge"], bad, { error: "sum of weights must be greater than 0" });
	await rejected;
	t.match(server.proxies()[0]?.types.routes, {
		error: "sum of weights must be greater than 0",
		source: "Service a",
		sentVersion: bad.versionInfo,
	});
	t.same(lines, ["envoy-1 rejects routes of Service a: sum of weights must be greater than 0"]);
	t.equal(client.unread, 0);
	const rejections = () =>
		refusalsOf(server.proxies()).map(({ type, sinceMs, revision }) => ({ type, sinceMs, revision }));
	t.same(rejections(), [{ type: "routes", sinceMs: 1_000, revision: 1 }]);
	nowMs += 60_000;
	server.publish(weights(0, 1), 3);
	const again = await client.next();
	t.same(rejections(), [{ type: "routes", sinceMs: 1_000, revision: 1 }], "it stays while something else is tried");
	const refused = until(server, () => server.proxies()[0]?.types.routes?.state === "ERROR");
	client.ask("routes", ["weir/edge"], again, { error: "sum of weights must be greater than 0" });
	await refused;
	t.same(rejections(), [{ type: "routes", sinceMs: 1_000, revision: 1 }], "since the first");
	server.publish(weights(1, 9), 4);
	const fixed = await client.next();
	const done = acknowledged(server);
	client.ask("routes", ["weir/edge"], fixed);
	t.equal(await done, 4);
	t.same(rejections(), []);
	t.equal(server.proxies()[0]?.revision, 4);
});

t.test("if closing Services fails, the client keeps its last good configuration", async (t) => {
	const { server, connect } = await startServer(t);
	const faults: string[] = [];
	const closable = (form: string) => ({
		closable: {
			forms: () => new Map([["a", form]]),
			close: () => {
				throw new Error("no such cluster");
			},
			onFault: (error: unknown) => void faults.push(String(error)),
		},
	});
	server.publish({ ...weights(9, 1), ...closable("1") }, 1);
	const client = connect();
	const first = acknowledged(server);
	await client.follow("envoy-1", CLUSTERS);
	await first;
	const refused = until(server, () => server.proxies()[0]?.types.routes?.state === "ERROR");
	server.publish({ ...weights(0, 0), ...closable("2") }, 2);
	client.ask("routes", ["weir/edge"], await client.next(), { error: "no" });
	await refused;
	t.match(server.proxies()[0], { revision: 1, types: { routes: { error: "no" } } });
	t.same(faults, ["Error: no such cluster"]);
	t.equal(client.unread, 0);
});

t.test("an inconsistent plan is refused and what was published stays", async (t) => {
	const { server, connect } = await startServer(t);
	server.publish(weights(9, 1), 1);
	t.throws(() => server.publish({ ...plan(A), envoy: { ...plan(A).envoy, clusters: [] } }, 2), {
		code: "failed-precondition",
	});
	t.throws(() => server.publish(weights(1, 1), 0), { code: "invalid-argument" }, "revisions never fall");
	const client = connect();
	const done = acknowledged(server);
	await client.follow("envoy-1", CLUSTERS);
	t.equal(await done, 1);
});

t.test("a stream without a node, or with two nodes, is ended", async (t) => {
	const { connect } = await startServer(t);
	const anonymous = connect();
	anonymous.ask("clusters", []);
	t.match(await anonymous.ended, { code: 3, details: /node\.id/ });
	const two = connect();
	two.ask("clusters", [], undefined, { node: "envoy-1" });
	two.ask("listeners", [], undefined, { node: "envoy-2" });
	t.match(await two.ended, { code: 3, details: /envoy-1.*another/ });
});

t.test("a client that does not read costs one response per type, and then gets the newest", async (t) => {
	const { server, connect } = await startServer(t);
	const client = connect();
	server.publish(weights(9, 1), 1);
	const first = acknowledged(server);
	await client.follow("envoy-1", CLUSTERS);
	await first;
	for (let revision = 2; revision <= 200; revision++) server.publish(weights(revision, 1000), revision);
	const stale = await client.next();
	const newest = acknowledged(server);
	client.ask("routes", ["weir/edge"], stale);
	const last = await client.next();
	client.ask("routes", ["weir/edge"], last);
	t.equal(await newest, 200);
	t.equal(client.unread, 0);
});

t.test("the socket of a dead process is replaced, one in use and a file are not; TCP needs an identity", async (t) => {
	const { socketPath } = await startServer(t);
	t.equal((await stat(socketPath)).mode & 0o777, 0o600);
	await t.rejects(new XdsServer().listen({ socketPath }), { code: "already-exists" });
	const dead = `${socketPath}.dead`;
	const child = createServer();
	await new Promise<void>((resolve) => child.listen(dead, resolve));
	t.equal((await stat(dead)).isSocket(), true);
	await t.rejects(new XdsServer().listen({ socketPath: dead }), { code: "already-exists" });
	await new Promise((resolve) => child.close(resolve));
	await writeFile(dead, "");
	await t.rejects(new XdsServer().listen({ socketPath: dead }), { code: "already-exists" });
	for (const host of ["0.0.0.0", "127.0.0.1"])
		await t.rejects(new XdsServer().listen({ host, port: 0 }), { code: "invalid-argument", message: /no identity/ });
});
