/** The ADS server and a real Envoy: ramps, NACKs, removals under traffic, and a crash of control. */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { TableFeed } from "../../../src/publish/sidecar/tableFeed.js";
import { Tables, type VersionedTable } from "../../../src/publish/sidecar/tables.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { type RunningEnvoy, startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { LogLines, tableOf } from "../sidecar/sampleTable.js";
import { published, type TinyPlan, type TinyService, tinyPlan } from "./tinyPlan.js";

interface Mesh {
	readonly server: XdsServer;
	readonly socketPath: string;
	readonly envoy: RunningEnvoy;
	readonly services: Record<string, TinyService>;
	readonly agent: Agent;
}

const plan = (services: TinyPlan["services"]) => published(tinyPlan({ gatewayPort: 0, services }));

async function startServer(t: Test, socketPath: string): Promise<XdsServer> {
	const server = new XdsServer();
	t.teardown(() => server.close());
	await server.listen({ socketPath });
	return server;
}

/** Envoy with services a (v1, v2) and b (v3), following the server at revision 1. */
async function startMesh(t: Test): Promise<Mesh> {
	const directory = await mkdtemp(join(tmpdir(), "weir-xds-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const [v1, v2, v3] = await startVariants(t, 3);
	const services: Record<string, TinyService> = {
		a: { host: "a", variants: { v1: v1?.port ?? 0, v2: v2?.port ?? 0 }, weights: { v1: 1, v2: 0 } },
		b: { host: "b", variants: { v3: v3?.port ?? 0 }, weights: { v3: 1 } },
	};
	const socketPath = join(directory, "ads.sock");
	const server = await startServer(t, socketPath);
	server.publish(plan(services), 1);
	const first = acknowledged(server, 1);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	await first;
	const agent = new Agent({ keepAlive: true, maxSockets: 8 });
	t.teardown(() => agent.destroy());
	return { server, socketPath, envoy, services, agent };
}

const acknowledged = (server: XdsServer, wanted: number): Promise<number> =>
	new Promise((resolve) => {
		const stop = server.onAcknowledged((revision, atMs) => {
			if (revision !== wanted) return;
			stop();
			resolve(atMs);
		});
	});

function until(server: XdsServer, condition: () => boolean): Promise<void> {
	return new Promise((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (!condition()) return;
			stop();
			resolve();
		});
	});
}

/** @returns status and the variant that answered, or the error's code. */
function get({ envoy, agent }: Mesh, host: string): Promise<string> {
	return new Promise((resolve) => {
		request({ port: envoy.port("edge"), host: "127.0.0.1", headers: { host }, agent }, (response) => {
			response.resume();
			response.on("end", () => resolve(`${response.statusCode} ${response.headers["x-variant"] ?? "-"}`));
		})
			.on("error", (error) => resolve(String(error)))
			.end();
	});
}

/** Requests to a host one after another until stopped, and the last ones after that; counts the answers. */
function traffic(mesh: Mesh, host: string): { stop(): Promise<ReadonlyMap<string, number>> } {
	const answers = new Map<string, number>();
	let running = true;
	const run = async (): Promise<void> => {
		for (let last = false; !last; await pause(5)) {
			last = !running;
			const answer = await get(mesh, host);
			answers.set(answer, (answers.get(answer) ?? 0) + 1);
		}
	};
	const runs = [run(), run(), run()];
	return {
		async stop() {
			running = false;
			await Promise.all(runs);
			return answers;
		},
	};
}

t.test("changed weights are acknowledged, served and shown by config_dump", async (t) => {
	const mesh = await startMesh(t);
	const { server, services, envoy } = mesh;
	t.equal(await get(mesh, "a"), "200 v1");
	const done = acknowledged(server, 2);
	server.publish(plan({ ...services, a: { ...services.a, weights: { v1: 0, v2: 7 } } as TinyService }), 2);
	await done;
	t.equal(await get(mesh, "a"), "200 v2");
	const dump = await envoy.admin("/config_dump?resource=dynamic_route_configs");
	const version = server.proxies()[0]?.types.routes?.sentVersion ?? "none";
	t.match(dump, `"version_info": "${version}"`);
	t.match(dump, /"weight": 7/);
	t.match(server.proxies(), [
		{ node: "envoy-1", types: { clusters: { state: "SYNCED" }, routes: { state: "SYNCED" } } },
	]);
});

t.test("a rejected route table: Envoy's message is shown, the last good stays, a fix is accepted", async (t) => {
	const mesh = await startMesh(t);
	const { server, services, envoy } = mesh;
	const rejected = until(server, () => server.proxies()[0]?.types.routes?.state === "ERROR");
	server.publish(plan({ ...services, a: { ...services.a, regex: "*" } as TinyService }), 2);
	await rejected;
	t.match(server.proxies()[0]?.types.routes, { error: /no argument for repetition operator/, source: "Service a" });
	t.equal(await get(mesh, "a"), "200 v1");
	server.publish(plan({ ...services, a: { ...services.a, regex: "*" } as TinyService }), 3);
	const done = acknowledged(server, 4);
	server.publish(plan({ ...services, a: { ...services.a, weights: { v1: 0, v2: 1 } } as TinyService }), 4);
	await done;
	t.equal(await get(mesh, "a"), "200 v2");
	t.equal(await envoy.stat("http.edge.rds.weir/edge.update_rejected"), 1, "the bad table was sent once");
});

t.test("weights that sum to 0 are rejected by Envoy, not served", async (t) => {
	const mesh = await startMesh(t);
	const { server, services } = mesh;
	const rejected = until(server, () => server.proxies()[0]?.types.routes?.state === "ERROR");
	server.publish(plan({ ...services, b: { ...services.b, weights: { v3: 0 } } as TinyService }), 2);
	await rejected;
	t.match(server.proxies()[0]?.types.routes, { error: /weight/, source: "Service b" });
	t.equal(await get(mesh, "b"), "200 v3");
});

t.test("a cluster that Envoy rejects affects only its own Service", async (t) => {
	const mesh = await startMesh(t);
	const { server, services } = mesh;
	const rejected = until(server, () => server.proxies()[0]?.types.clusters?.state === "ERROR");
	const bad: TinyService = { host: "c", variants: { v9: 9 }, weights: { v9: 1 }, unknownExtension: true };
	server.publish(plan({ ...services, c: bad }), 2);
	await rejected;
	t.match(server.proxies()[0]?.types.clusters, { error: /c\/v9.*no\.such\.socket/s, source: "Service c" });
	t.equal(await get(mesh, "a"), "200 v1");
	const done = acknowledged(server, 3);
	server.publish(plan({ ...services, a: { ...services.a, weights: { v1: 0, v2: 1 } } as TinyService }), 3);
	await done;
	t.equal(await get(mesh, "a"), "200 v2");
});

t.test("no request fails while clusters are added, changed and removed", async (t) => {
	const mesh = await startMesh(t);
	const { server, services, envoy } = mesh;
	const load = traffic(mesh, "a");
	const v2 = services.a?.variants.v2 ?? 0;
	const only = (name: string, connectTimeout: string): TinyService => ({
		host: "a",
		variants: { [name]: v2 },
		weights: { [name]: 1 },
		connectTimeout,
	});
	let revision = 1;
	for (let round = 0; round < 10; round++) {
		for (const next of [only("v4", "1s"), only("v4", "2s"), only("v5", "1s")]) {
			revision++;
			const done = acknowledged(server, revision);
			server.publish(plan({ ...(round % 2 === 0 ? {} : { b: services.b as TinyService }), a: next }), revision);
			await done;
		}
	}
	const answers = await load.stop();
	// v1 answers only if a request came before the first change; the test requires only that none failed.
	const failed = [...answers.keys()].filter((answer) => answer !== "200 v1" && answer !== "200 v2");
	t.same(failed, [], `answers: ${JSON.stringify([...answers])}`);
	t.ok(answers.has("200 v2"), "requests flowed during the changes");
	const clusters = await envoy.admin("/clusters");
	t.notMatch(clusters, /a\/v1|a\/v4/, "removed clusters are gone");
	t.match(clusters, /a\/v5/);
});

t.test("Envoy serves while control is down, and gets updates again after its restart", async (t) => {
	const mesh = await startMesh(t);
	const { server, socketPath, services } = mesh;
	const load = traffic(mesh, "a");
	await server.close();
	t.equal(await get(mesh, "a"), "200 v1");
	const second = await startServer(t, socketPath);
	const unchanged = acknowledged(second, 2);
	second.publish(plan(services), 2);
	await unchanged;
	const changed = acknowledged(second, 3);
	second.publish(plan({ ...services, a: { ...services.a, weights: { v1: 0, v2: 1 } } as TinyService }), 3);
	await changed;
	t.equal(await get(mesh, "a"), "200 v2");
	t.same(new Set((await load.stop()).keys()), new Set(["200 v1", "200 v2"]));
});

t.test("a revision is acknowledged by all Envoys; one that restarts gets everything again", async (t) => {
	const mesh = await startMesh(t);
	const { server, socketPath, services } = mesh;
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-2" };
	const start = () => startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	const another = await start();
	const done = acknowledged(server, 2);
	server.publish(plan({ ...services, a: { ...services.a, weights: { v1: 0, v2: 1 } } as TinyService }), 2);
	await done;
	t.same(
		server.proxies().map(({ node }) => node),
		["envoy-1", "envoy-2"],
	);
	t.equal(await get({ ...mesh, envoy: another }, "a"), "200 v2");
	const gone = until(server, () => server.proxies().length === 1);
	await another.stop();
	await gone;
	const again = await start();
	t.equal(await get({ ...mesh, envoy: again }, "a"), "200 v2");
});

t.test("a plan is acknowledged when both the Envoy and the sidecar have it", async (t) => {
	const mesh = await startMesh(t);
	const { server, socketPath, services, envoy } = mesh;
	/** Envoy's counts of update attempts. */
	const updates = async (): Promise<readonly number[]> => {
		const names = ["cluster_manager.cds", "listener_manager.lds", "http.edge.rds.weir/edge", "cluster.a/v1"];
		return Promise.all(names.map((name) => envoy.stat(`${name}.update_attempt`)));
	};
	const before = await updates();
	const tables = new Tables({ compile: ({ version }: VersionedTable) => version });
	const feed = new TableFeed({ socketPath, node: "weir-sidecar/1", tables, log: new LogLines() });
	t.teardown(() => feed.close());
	const known = until(server, () => server.proxies()[1]?.types.tables?.state === "SYNCED");
	feed.start();
	await known;
	t.same(await updates(), before, "Envoy notices nothing");

	const next = (revision: number, timeoutMs: number, v2: number) =>
		server.publish(
			published(
				tinyPlan({
					gatewayPort: 0,
					services: { ...services, a: { ...services.a, weights: { v1: 1 - v2, v2 } } as TinyService },
				}),
				tableOf(timeoutMs).table,
			),
			revision,
		);
	const second = acknowledged(server, 2);
	next(2, 1, 1);
	await second;
	t.equal(await get(mesh, "a"), "200 v2");
	t.equal(tables.get(null), tableOf(1).version);
	t.match(server.proxies(), [
		{ node: "envoy-1", types: { routes: { state: "SYNCED" } } },
		{ node: "weir-sidecar/1", types: { tables: { state: "SYNCED", sentVersion: tableOf(1).version } } },
	]);
	t.notOk(server.proxies()[0]?.types.tables, "an Envoy has no state for tables");

	// A change of the table alone: Envoy gets nothing, and the sidecar's ACK alone acknowledges it.
	const unchanged = await updates();
	t.ok(unchanged.every((count) => count > 0));
	const third = acknowledged(server, 3);
	next(3, 2, 1);
	await third;
	t.equal(tables.get(null), tableOf(2).version);
	t.same(await updates(), unchanged);

	// A disconnected sidecar delays nothing.
	const alone = until(server, () => server.proxies().length === 1);
	feed.close();
	await alone;
	const fourth = acknowledged(server, 4);
	next(4, 3, 0);
	await fourth;
	t.equal(await get(mesh, "a"), "200 v1");
});
