/** Streams over TCP are for Envoys and sidecars with a verified SPIFFE id, under their own names and Gateways. */
import { promisify } from "node:util";
import type { ChannelCredentials } from "@grpc/grpc-js";
import { Client, connectivityState, credentials, status } from "@grpc/grpc-js";
import t from "tap";
import { mayBeNode, maySubscribe, peerOf } from "../../../src/publish/xds/peer.js";
import type { XdsServerOptions } from "../../../src/publish/xds/server.js";
import { closedServices } from "./adsClient.js";
import { id } from "./identityOf.js";
import { TINY as plan, start } from "./tlsScene.js";

t.test("a SPIFFE id decides the kind of client, its node names and its types", async (t) => {
	t.match(peerOf(id("weir/envoy/edge")), { kind: "envoy", name: "edge" });
	t.match(peerOf(id("weir/sidecar")), { kind: "sidecar" });
	for (const path of [
		"weir/envoy",
		"weir/envoy/a/b",
		"weir/predictor",
		"weir/operator/envoy",
		"x/weir/envoy/edge",
		"weir/control",
	])
		t.equal(peerOf(id(path)), null, path);
	const envoy = peerOf(id("weir/envoy/edge")) ?? ({ kind: "owner" } as const);
	const sidecar = peerOf(id("weir/sidecar")) ?? ({ kind: "owner" } as const);
	t.ok(mayBeNode(envoy, "edge"));
	for (const node of ["", "Edge", "edge2", "weir-sidecar/edge"]) t.notOk(mayBeNode(envoy, node), node);
	t.ok(mayBeNode(sidecar, "weir-sidecar/host/7"));
	t.notOk(mayBeNode(sidecar, "edge"));
	t.ok(maySubscribe(envoy, "routes"));
	t.notOk(maySubscribe(envoy, "tables"));
	t.ok(maySubscribe(sidecar, "tables"));
	t.notOk(maySubscribe(sidecar, "clusters"));
	t.ok(maySubscribe({ kind: "owner" }, "tables") && mayBeNode({ kind: "owner" }, "anything"));
	for (const more of ["\u0001", "ä", "\n", "x".repeat(250)]) {
		t.notOk(mayBeNode(sidecar, `weir-sidecar/${more}`), "of a node's name there is a line of a log, a label, a report");
		t.notOk(mayBeNode({ kind: "owner" }, `weir-sidecar/${more}`));
	}
});

t.test("an Envoy under its own name, and a sidecar, are served", async (t) => {
	const { server, refused, connect } = await start(t);
	server.publish(plan, 1);
	const envoy = await connect("weir/envoy/edge");
	envoy.ask("listeners", [], undefined, { node: "edge" });
	t.equal((await envoy.next()).resources.length, 1);
	const sidecar = await connect("weir/sidecar");
	sidecar.ask("tables", ["plan"], undefined, { node: "weir-sidecar/host/1" });
	t.equal((await sidecar.next()).resources.length, 1);
	t.same(refused, []);
});

t.test("a connection without a stream is ended, one with a quiet stream is not", async (t) => {
	const { server, target, channel, connect } = await start(t, { connectionIdleMs: 50 });
	server.publish(plan, 1);
	const quiet = await connect("weir/envoy/edge");
	quiet.ask("listeners", [], undefined, { node: "edge" });
	await quiet.next();
	const bare = new Client(target, await channel("weir/envoy/edge"));
	t.teardown(() => bare.close());
	await promisify(bare.waitForReady.bind(bare))(Date.now() + 30_000);
	await new Promise<void>((resolve) =>
		bare.getChannel().watchConnectivityState(connectivityState.READY, Number.POSITIVE_INFINITY, () => resolve()),
	);
	t.equal(server.proxies().length, 1);
	quiet.ask("clusters", []);
	t.equal((await quiet.next()).resources.length, 1, "it lives on");
});

t.test("an unreadable error detail rejects a sidecar's table; an Envoy may not request tables", async (t) => {
	const { server, refused, connect } = await start(t);
	server.publish(plan, 1);
	const broken = { ...closedServices({ services: [] }), value: new Uint8Array([0x0a, 0xff]) };
	const envoy = await connect("weir/envoy/edge");
	envoy.ask("tables", ["plan"], undefined, { node: "edge", details: [broken] });
	t.equal((await envoy.ended).code, status.PERMISSION_DENIED);
	t.same(refused, ["type"]);
	const sidecar = await connect("weir/sidecar");
	sidecar.ask("tables", ["plan"], undefined, { node: "weir-sidecar/host/1", details: [broken] });
	const response = await sidecar.next();
	const nacked = new Promise<void>((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (server.proxies()[0]?.types.tables?.state !== "ERROR") return;
			stop();
			resolve();
		});
	});
	sidecar.ask("tables", ["plan"], response, { details: [broken] });
	await nacked;
	t.same(server.proxies()[0]?.closed, undefined);
});

t.test("an internal fault while reading a request ends only its stream", async (t) => {
	const lines: string[] = [];
	let broken = false;
	const nowMs = () => {
		if (broken) throw new Error("no clock");
		return Date.now();
	};
	const { server, connect } = await start(t, { nowMs, log: (line) => lines.push(line) });
	server.publish(plan, 1);
	const sidecar = await connect("weir/sidecar");
	sidecar.ask("tables", ["plan"], undefined, { node: "weir-sidecar/host/1" });
	await sidecar.next();
	broken = true;
	sidecar.ask("tables", ["plan", "more"], undefined, {});
	t.equal((await sidecar.ended).code, status.INTERNAL);
	t.match(lines, [/^weir-sidecar\/host\/1: a request could not be handled/]);
	broken = false;
	const other = await connect("weir/sidecar");
	other.ask("tables", ["plan"], undefined, { node: "weir-sidecar/host/2" });
	t.equal((await other.next()).resources.length, 1);
});

t.test("other SPIFFE ids and node names are refused and counted", async (t) => {
	const { server, refused, ids, connect } = await start(t);
	server.publish(plan, 1);
	for (const path of ["weir/predictor", "weir/operator/eve", "ns/team/sa/app"]) {
		const client = await connect(path);
		client.ask("listeners", [], undefined, { node: "edge" });
		t.match(await client.ended, { code: 14 }, `${path} has no connection`);
		client.close();
	}
	const impostor = await connect("weir/envoy/edge");
	impostor.ask("listeners", [], undefined, { node: "other" });
	t.match(await impostor.ended, { code: 7, details: /node\.id/ });
	const nosy = await connect("weir/envoy/edge");
	nosy.ask("tables", [], undefined, { node: "edge" });
	t.match(await nosy.ended, { code: 7, details: /tables/ });
	const greedy = await connect("weir/sidecar");
	greedy.ask("clusters", [], undefined, { node: "weir-sidecar/a/1" });
	t.match(await greedy.ended, { code: 7, details: /clusters/ });
	const changeling = await connect("weir/envoy/edge");
	changeling.ask("listeners", [], undefined, { node: "edge" });
	await changeling.next();
	changeling.ask("clusters", [], undefined, { node: "other" });
	t.match(await changeling.ended, { code: 3, details: /the stream is of node edge/ });
	t.same(refused, ["not-a-client", "not-a-client", "not-a-client", "another-node", "type", "type", "another-node"]);
	t.equal(ids.at(-1), id("weir/envoy/edge"));
	t.equal(ids[0], id("weir/predictor"), "with the id that was proved");
	t.equal(ids[3], id("weir/envoy/edge"));
	t.same(
		server.proxies().map(({ node }) => node),
		[],
		"no refused client is listed as a proxy",
	);
});

t.test("an Envoy without a Gateway is refused, also if the plan names no Gateways", async (t) => {
	for (const gatewaysOf of [() => [], undefined]) {
		const { server, refused, connect } = await start(t, { gatewaysOf } as XdsServerOptions);
		server.publish(plan, 1);
		const rogue = await connect("weir/envoy/rogue");
		rogue.ask("listeners", [], undefined, { node: "rogue" });
		t.match(await rogue.ended, { code: 7, details: /no Gateway/ });
		t.same(refused, ["no-gateway"]);
	}
});

t.test("without a certificate of this trust domain there is no stream at all", async (t) => {
	const faults = new Set<string>();
	const { ca, make, connectWith } = await start(t, { onHandshakeFault: (fault) => void faults.add(fault) });
	const trusted = Buffer.from(ca.certificate);
	const name = { checkServerIdentity: () => undefined };
	const other = await make("other.test");
	const foreign = await other.issue({ spiffeId: "spiffe://other.test/weir/envoy/edge" });
	const expired = await ca.issue({
		spiffeId: id("weir/envoy/edge"),
		nowMs: Date.now() - 3_600_000,
		lifetimeMs: 60_000,
	});
	const clients: readonly [string, ChannelCredentials, string][] = [
		["plain text", credentials.createInsecure(), "tls"],
		["no certificate", credentials.createSsl(trusted, null, null, name), "no-certificate"],
		[
			"another trust domain",
			credentials.createSsl(trusted, Buffer.from(foreign.privateKey), Buffer.from(foreign.certificate), name),
			"untrusted-certificate",
		],
		[
			"an expired one",
			credentials.createSsl(trusted, Buffer.from(expired.privateKey), Buffer.from(expired.certificate), name),
			"certificate-ended",
		],
	];
	for (const [what, channel, fault] of clients) {
		faults.clear();
		const client = connectWith(channel);
		client.ask("listeners", [], undefined, { node: "edge" });
		t.match(await client.ended, { code: 14 }, what);
		client.close();
		t.same([...faults], [fault], what);
	}
});

t.test("an Envoy gets the listeners and routes of its own Gateways, and acknowledges with them alone", async (t) => {
	const { server, connect } = await start(t, {
		gatewaysOf: (spiffeId) => (spiffeId.endsWith("/inner") ? ["inner"] : spiffeId.endsWith("/edge") ? ["edge"] : null),
	});
	server.publish(plan, 1);
	const inner = await connect("weir/envoy/inner");
	for (const [type, names, expected] of [
		["clusters", [], 1],
		["endpoints", ["a/v1"], 1],
		["listeners", [], 0],
	] as const) {
		inner.ask(type, names, undefined, { node: "inner" });
		if (expected === 0) continue;
		const response = await inner.next();
		t.equal(response.resources.length, expected, type);
		inner.ask(type, names, response);
	}
	const edge = await connect("weir/envoy/edge");
	const typesOf = (name: string) => server.proxies().find(({ node }) => node === name)?.types;
	const synced = new Promise<void>((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (typesOf("edge")?.routes?.state !== "SYNCED") return;
			stop();
			resolve();
		});
	});
	await edge.follow("edge", ["a/v1"]);
	await synced;
	t.equal(typesOf("edge")?.listeners?.state, "SYNCED");
	t.equal(typesOf("inner")?.clusters?.state, "SYNCED");
});
