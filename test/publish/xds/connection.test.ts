/** Connections with a client that does not read, and a server with many clients. */
import { EventEmitter } from "node:events";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import t from "tap";
import {
	DiscoveryRequestSchema,
	type DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { type Call, Connection, type ConnectionOptions } from "../../../src/publish/xds/connection.js";
import { Publication } from "../../../src/publish/xds/publication.js";
import { TYPE_URLS } from "../../../src/publish/xds/resource.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { temporaryDirectory } from "../../cli/command.js";
import { AdsClient } from "./adsClient.js";
import { A, B } from "./script.js";
import { published, tinyPlan } from "./tinyPlan.js";

const plan = (port: number) =>
	published(tinyPlan({ gatewayPort: 8080, services: { a: { ...A, variants: { v1: port, v2: 1 } }, b: B } }));

/** Options for clients that do not answer in time. */
const OPTIONS: Omit<ConnectionOptions, "publication" | "onFault"> = {
	peer: { kind: "owner" },
	ackTimeoutMs: 1,
	server: "weir",
	nowMs: Date.now,
	restrict: (snapshot) => snapshot,
	recall: () => undefined,
	onChange() {},
	onNack() {},
	onRefused() {},
};

t.test("a client that does not read does not delay the others", async (t) => {
	const maker = new SnapshotMaker();
	const publication = new Publication(plan(1), maker.make(plan(1), 1), maker);
	const written: DiscoveryResponse[] = [];
	const call = Object.assign(new EventEmitter(), {
		write: (one: DiscoveryResponse) => written.push(one) < 0,
		end() {},
	});
	let looks = 0;
	const connection = new Connection(call as unknown as Call, {
		...OPTIONS,
		publication: () => {
			looks++;
			return publication;
		},
		onFault: (_, error) => void t.fail(String(error)),
	});
	const ask = (typeUrl: string) => create(DiscoveryRequestSchema, { typeUrl, node: { id: "edge" } });
	call.emit("data", ask(TYPE_URLS.clusters));
	t.equal(written.length, 1);
	const before = looks;
	await new Promise((resolve) => setTimeout(resolve, 50));
	t.ok(looks - before <= 1, `${looks - before} looks`);
	call.emit("data", ask(TYPE_URLS.listeners));
	t.equal(written.length, 1, "and nothing is queued");
	call.emit("drain");
	t.equal(written.length, 2);
	call.emit("end");
	t.ok(connection.closed);
});

t.test("a fault while sending to one client ends only its stream", async (t) => {
	const call = Object.assign(new EventEmitter(), { write: () => true, end() {} });
	const errors: unknown[] = [];
	call.on("error", (error) => errors.push(error));
	const faults: unknown[] = [];
	const connection = new Connection(call as unknown as Call, {
		...OPTIONS,
		publication: () => {
			throw new Error("broken");
		},
		onFault: (_, error) => void faults.push(error),
	});
	connection.pump();
	t.match(faults, [{ message: "broken" }]);
	t.match(errors, [{ details: "the request could not be handled" }]);
	t.ok(connection.closed);
});

t.test("Envoys get a change one after the other, and requests of others are read in between", async (t) => {
	const server = new XdsServer();
	t.teardown(() => server.close());
	const socketPath = join(await temporaryDirectory(t), "ads.sock");
	await server.listen({ socketPath });
	server.publish(plan(1), 1);
	const clients = [1, 2, 3].map(() => new AdsClient(`unix:${socketPath}`));
	t.teardown(() => {
		for (const client of clients) client.close();
	});
	for (const [at, client] of clients.entries()) {
		client.ask("endpoints", ["a/v1"], undefined, { node: `edge-${at}` });
		client.ask("endpoints", ["a/v1"], await client.next());
	}
	const answered = (): boolean =>
		server.proxies().every(({ types: { endpoints } }) => endpoints?.acceptedVersion === endpoints?.sentVersion);
	// A client that has not acknowledged yet would get the change later anyway.
	while (!answered()) await new Promise<void>((resolve) => server.onProxiesChanged(() => resolve()));
	const synced = () => new Set(server.proxies().map(({ types }) => types.endpoints?.sentVersion)).size === 1;
	server.publish(plan(2), 2);
	t.notOk(synced(), "not all at once");
	await Promise.all(clients.map((client) => client.next()));
	t.ok(synced());
});
