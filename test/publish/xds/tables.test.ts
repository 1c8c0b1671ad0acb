import { fromBinary } from "@bufbuild/protobuf";
import t, { type Test } from "tap";
import { contentHash } from "../../../src/compile/assignment/hash.js";
import type { PlanTable } from "../../../src/compile/plan/compiledPlan.js";
import { unansweredTables } from "../../../src/decide/rollout/unansweredTables.js";
import { TableSchema } from "../../../src/gen/weir/sidecar/v1/table_pb.js";
import { PUBLICATION_LAG_MS } from "../../../src/limits/index.js";
import { TYPE_URLS } from "../../../src/publish/xds/resource.js";
import type { XdsServerOptions } from "../../../src/publish/xds/server.js";
import { type Snapshot, SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { EXPERIMENT, SERVICE } from "../sidecar/sampleTable.js";
import { startServer } from "./adsClient.js";
import { A, Script } from "./script.js";
import { published, tinyPlan } from "./tinyPlan.js";

const table = (timeoutMs: number): PlanTable => ({ gateways: [], services: [{ ...SERVICE, timeoutMs }] });
const plan = (timeoutMs: number, weights = A.weights) =>
	published(tinyPlan({ gatewayPort: 8080, services: { a: { ...A, weights } } }), table(timeoutMs));
const snapshot = (timeoutMs: number, revision: number, weights = A.weights): Snapshot =>
	new SnapshotMaker().make(plan(timeoutMs, weights), revision);

t.test("a sidecar gets the table under the plan's version, and needs nothing else to be synced", (t) => {
	const sidecar = new Script(snapshot(1, 1));
	t.same(sidecar.ask("tables", ["plan"]), ["tables:plan"]);
	const [response] = sidecar.received;
	const message = fromBinary(TableSchema, response?.resources[0]?.bytes ?? new Uint8Array());
	const json = new TextDecoder().decode(message.json);
	t.same(JSON.parse(json), table(1));
	t.equal(message.version, contentHash(json));
	t.equal(response?.version, message.version);
	t.equal(response?.resources[0]?.typeUrl, "type.googleapis.com/weir.sidecar.v1.Table");
	t.notOk(sidecar.stream.synced(sidecar.target));
	t.equal(sidecar.status("tables").state, "STALE");
	t.same(sidecar.ack("tables"), []);
	t.ok(sidecar.stream.synced(sidecar.target));
	t.same(Object.keys(sidecar.stream.status(sidecar.target)), ["tables"]);
	t.match(sidecar.status("tables"), {
		state: "SYNCED",
		sentVersion: plan(1).version,
		acceptedVersion: plan(1).version,
	});
	t.end();
});

t.test("a sidecar gets no change of Envoy resources, and an Envoy none of the table", (t) => {
	const sidecar = new Script(snapshot(1, 1));
	sidecar.agree(sidecar.ask("tables", ["plan"]));
	const envoy = new Script(snapshot(1, 1));
	t.same(envoy.start(), ["clusters:a/v1,a/v2", "endpoints:a/v1,a/v2", "listeners:edge", "routes:weir/edge"]);
	t.same(Object.keys(envoy.stream.status(envoy.target)), ["clusters", "endpoints", "listeners", "routes"]);
	const ramp = snapshot(1, 2, { v1: 1, v2: 1 });
	t.same(sidecar.publish(ramp), []);
	t.ok(sidecar.stream.synced(ramp));
	t.same(envoy.agree(envoy.publish(ramp)), ["routes:weir/edge"]);
	const changed = snapshot(2, 3, { v1: 1, v2: 1 });
	t.same(envoy.publish(changed), []);
	t.ok(envoy.stream.synced(changed));
	t.same(sidecar.publish(changed), ["tables:plan"]);
	t.notOk(sidecar.stream.synced(changed));
	sidecar.ack("tables");
	t.ok(sidecar.stream.synced(changed));
	t.end();
});

t.test("an Envoy that has asked for nothing yet is not synced; a client of both kinds needs both", (t) => {
	t.notOk(new Script(snapshot(1, 1)).stream.synced(snapshot(1, 1)));
	const both = new Script(snapshot(1, 1));
	both.agree(both.ask("tables", ["plan"]));
	t.ok(both.stream.synced(both.target));
	both.ask("clusters", []);
	t.notOk(both.stream.synced(both.target), "it is an Envoy too");
	both.ack("clusters");
	for (const [type, names] of [
		["endpoints", ["a/v1", "a/v2"]],
		["listeners", []],
		["routes", ["weir/edge"]],
	] as const) {
		both.agree(both.ask(type, names));
	}
	t.ok(both.stream.synced(both.target));
	t.notOk(both.stream.synced(snapshot(2, 2)));
	t.end();
});

t.test("a sidecar that subscribes to another name delays the acknowledgement", (t) => {
	const sidecar = new Script(snapshot(1, 1));
	t.same(sidecar.ask("tables", ["another"]), []);
	t.notOk(sidecar.stream.synced(sidecar.target));
	t.equal(sidecar.status("tables").state, "NOT SENT");
	t.same(sidecar.ask("tables", ["plan"]), ["tables:plan"]);
	t.end();
});

t.test("a NACK is kept with its message and its declaration, and the same table is not sent again", (t) => {
	const sidecar = new Script(snapshot(1, 1));
	sidecar.agree(sidecar.ask("tables", ["plan"]));
	const nack = (words: string, revision: number) => {
		t.same(sidecar.publish(snapshot(revision, revision)), ["tables:plan"]);
		t.same(sidecar.nack("tables", words), []);
		return sidecar.status("tables");
	};
	t.match(nack(`Service employment, Experiment ${EXPERIMENT.name}, arm a: no`, 2), {
		state: "ERROR",
		error: /arm a: no/,
		source: `Experiment ${EXPERIMENT.name}`,
		acceptedVersion: plan(1).version,
	});
	t.notOk(sidecar.stream.synced(sidecar.target));
	t.same(sidecar.publish(snapshot(2, 3)), [], "a rejected table is not sent again");
	t.match(nack("Service employment, timeoutMs: no", 4), { source: "Service employment" });
	t.match(nack("the table is not JSON", 5), { source: `plan ${plan(5).version}` });
	t.same(sidecar.agree(sidecar.publish(snapshot(1, 6))), ["tables:plan"], "back to the last good one");
	t.ok(sidecar.stream.synced(sidecar.target));
	t.equal(sidecar.status("tables").state, "SYNCED");
	t.end();
});

async function start(t: Test, options: XdsServerOptions = {}) {
	const { server, connect } = await startServer(t, options);
	const acknowledged: number[] = [];
	server.onAcknowledged((revision) => acknowledged.push(revision));
	/** Resolves when the condition holds; checked now, and at each change that the server reports. */
	const until = (condition: () => boolean): Promise<void> =>
		new Promise((resolve) => {
			const look = (): void => {
				if (!condition()) return;
				stop();
				resolve();
			};
			// Acknowledgements come after this notice, in the same turn.
			const stop = server.onProxiesChanged(() => setImmediate(look));
			setImmediate(look);
		});
	return { server, connect, acknowledged, until };
}

t.test("a revision is acknowledged when Envoys and sidecars have it; a gone sidecar delays nothing", async (t) => {
	const { server, connect, acknowledged, until } = await start(t);
	const [sidecar, envoy] = [connect(), connect()];
	const first = until(() => acknowledged.includes(1));
	sidecar.ask("tables", ["plan"], undefined, { node: "weir-sidecar/1" });
	await until(() => server.proxies().length === 1);
	server.publish(plan(1), 1);
	sidecar.ask("tables", ["plan"], await sidecar.next());
	await first;
	const known = until(() => server.proxies()[1]?.types.routes?.state === "SYNCED");
	await envoy.follow("envoy-1", ["a/v1", "a/v2"]);
	await known;
	t.match(server.proxies(), [
		{ node: "weir-sidecar/1", types: { tables: { state: "SYNCED" } } },
		{ node: "envoy-1", types: { clusters: { state: "SYNCED" }, routes: { state: "SYNCED" } } },
	]);

	server.publish(plan(2, { v1: 1, v2: 1 }), 2);
	const toSidecar = await sidecar.next();
	const envoyHasIt = until(() => server.proxies()[1]?.types.routes?.state === "SYNCED");
	envoy.ask("routes", ["weir/edge"], await envoy.next());
	await envoyHasIt;
	t.same(acknowledged, [1], "the sidecar lags");
	const second = until(() => acknowledged.includes(2));
	sidecar.ask("tables", ["plan"], toSidecar);
	await second;

	server.publish(plan(3, { v1: 2, v2: 1 }), 3);
	const rejected = until(() => server.proxies()[0]?.types.tables?.state === "ERROR");
	sidecar.ask("tables", ["plan"], await sidecar.next(), { error: "no" });
	envoy.ask("routes", ["weir/edge"], await envoy.next());
	await rejected;
	await until(() => server.proxies()[1]?.types.routes?.state === "SYNCED");
	t.same(acknowledged, [1, 2], "the sidecar serves an older table");
	const third = until(() => acknowledged.includes(3));
	sidecar.close();
	await third;
});

t.test("a sidecar that does not answer for too long is reported, however many tables wait", async (t) => {
	const { server, connect, acknowledged, until } = await start(t);
	const [sidecar, slow] = [connect(), connect()];
	for (const [at, client] of [sidecar, slow].entries())
		client.ask("tables", ["plan"], undefined, { node: `weir-sidecar/${at}` });
	await until(() => server.proxies().length === 2);
	const first = until(() => acknowledged.includes(1));
	server.publish(plan(1), 1);
	for (const client of [sidecar, slow]) client.ask("tables", ["plan"], await client.next());
	await first;
	const untaken = (afterMs: number) => unansweredTables(server.proxies(), Date.now() + afterMs).map(({ node }) => node);
	t.same(untaken(PUBLICATION_LAG_MS), [], "every sidecar has answered");
	const beforeMs = Date.now();
	server.publish(plan(2), 2);
	const owed = await slow.next();
	sidecar.ask("tables", ["plan"], await sidecar.next());
	await until(() => server.proxies()[0]?.types.tables?.state === "SYNCED");
	server.publish(plan(3), 3);
	sidecar.ask("tables", ["plan"], await sidecar.next());
	await until(() => server.proxies()[0]?.revision === 3);
	t.same(untaken(PUBLICATION_LAG_MS), ["weir-sidecar/1"]);
	t.same(unansweredTables(server.proxies(), beforeMs + PUBLICATION_LAG_MS - 1), [], "a plan may be on its way");
	const third = until(() => acknowledged.includes(3));
	slow.ask("tables", ["plan"], owed);
	slow.ask("tables", ["plan"], await slow.next());
	await third;
	t.same(untaken(PUBLICATION_LAG_MS), []);
});

t.test("the wait counts from the first unanswered table until any answer, rejections included", async (t) => {
	let nowMs = 1_000;
	const { server, connect, until } = await start(t, { nowMs: () => nowMs, ackTimeoutMs: 20 });
	const sidecar = connect();
	const since = () => server.proxies()[0]?.types.tables?.unansweredSinceMs;
	sidecar.ask("tables", ["plan"], undefined, { node: "weir-sidecar/1" });
	await until(() => server.proxies().length === 1);
	server.publish(plan(1), 1);
	const first = await sidecar.next();
	t.equal(since(), 1_000);
	nowMs = 2_000;
	sidecar.ask("tables", ["plan"]);
	sidecar.ask("clusters", ["*"]);
	t.equal((await sidecar.next()).typeUrl, TYPE_URLS.clusters, "the request before it has been read");
	server.publish(plan(2), 2);
	// It is sent after the timeout of the first one.
	const second = await sidecar.next();
	t.not(second.versionInfo, first.versionInfo);
	t.equal(since(), 1_000, "another request is no answer, and a later response does not restart the wait");
	sidecar.ask("tables", ["plan"], second, { error: "no" });
	await until(() => since() === undefined);
	t.match(server.proxies()[0]?.types.tables, { state: "ERROR" });
});
