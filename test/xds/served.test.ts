/** What a client has of which plan, Gateway by Gateway, as it says so itself over real gRPC. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { Channel } from "../../src/xds/channel.js";
import { Publication } from "../../src/xds/publication.js";
import { TYPES, type TypeName } from "../../src/xds/resource.js";
import { servedGateways } from "../../src/xds/served.js";
import { XdsServer } from "../../src/xds/server.js";
import { SnapshotMaker } from "../../src/xds/snapshot.js";
import { temporaryDirectory } from "../cli/command.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { AdsClient } from "./adsClient.js";
import { start } from "./tlsScene.js";

t.setTimeout(30_000);

const planOf = (hosts: readonly string[], port = 8080) =>
	compile(
		resourceSet({
			gateways: [gateway({ port })],
			services: [service("guarded", [variant("v1")], { hosts })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);

t.test(
	"routes tell which plan an Envoy has, its answers which is on its way, and listeners are their own matter",
	async (t) => {
		const directory = await mkdtemp(join(tmpdir(), "weir-xds-"));
		const socketPath = join(directory, "ads.sock");
		const server = new XdsServer();
		await server.listen({ socketPath });
		const client = new AdsClient(`unix:${socketPath}`);
		t.teardown(async () => {
			client.close();
			await server.close();
			await rm(directory, { recursive: true, force: true });
		});
		const changed = async (condition: () => boolean): Promise<void> => {
			if (condition()) return;
			await new Promise<void>((resolve) => {
				const stop = server.onProxiesChanged(() => {
					if (!condition()) return;
					stop();
					resolve();
				});
			});
		};
		const [first, second] = [planOf(["a.test"]), planOf(["b.test"])];
		server.publish(first, 1);
		t.equal(server.served("here"), null, "nobody of that name is there");
		await client.follow("here", ["guarded/v1"]);
		const edge = () => server.served("here")?.get("edge");
		await changed(() => edge()?.plan === first.version);
		t.match(edge(), { plan: first.version, coming: null, moving: false, current: true, refused: false });
		const had = edge();

		server.publish(second, 2);
		const routes = await client.next();
		t.match(edge(), { plan: first.version, moving: false, current: true, refused: false });
		t.equal(edge()?.hosts.get("guarded"), had?.hosts.get("guarded"));
		t.match(edge()?.coming?.get("guarded"), /./);
		t.not(edge()?.coming?.get("guarded"), had?.hosts.get("guarded"), "another host");
		client.ask("routes", ["weir/edge"], routes, { error: "no" });
		await changed(() => edge()?.coming === null);
		t.equal(edge()?.plan, first.version, "it goes on with what it had");
		t.not(first.version, second.version);

		const third = planOf(["c.test"], 8081);
		server.publish(third, 3);
		const listeners = await client.next();
		t.match(edge(), { plan: first.version, listener: had?.listener, moving: true, current: false }, "on its way");
		server.publish(second, 4);
		t.match(edge(), { moving: true, current: false }, "what it has is wanted again, and it is being told otherwise");
		server.publish(third, 5);
		client.ask("listeners", [], listeners, { error: "no" });
		client.ask("listeners", [], await client.next());
		const next = await client.next();
		t.match(edge(), { listener: had?.listener, moving: false, current: false, refused: true });
		t.not(edge()?.coming, null);
		client.ask("routes", ["weir/edge"], next);
		await changed(() => edge()?.coming === null);
		t.match(edge(), { plan: third.version, coming: null, current: false, refused: true });
		client.close();
		await changed(() => server.proxies().length === 0);
		t.match(edge(), { plan: third.version, coming: null }, "what it had when it left");
	},
);

t.test("of several clients of one name the Envoy of this machine is meant, however late others come", async (t) => {
	const { server, connect } = await start(t);
	const socketPath = join(await temporaryDirectory(t), "ads.sock");
	await server.listen({ socketPath });
	const plan = planOf(["a.test"]);
	server.publish(plan, 1);
	const elsewhere = await connect("weir/envoy/edge");
	await elsewhere.follow("edge", ["guarded/v1"]);
	const edge = () => server.served("edge")?.get("edge");
	const taken = { plan: plan.version, coming: null, moving: false, current: true, refused: false };
	const nothing = {
		plan: null,
		hosts: new Map(),
		coming: null,
		listener: null,
		moving: false,
		current: false,
		refused: false,
	};
	while (edge()?.plan !== plan.version) await new Promise((resolve) => setTimeout(resolve, 5));
	t.match(edge(), taken);
	const [own, sidecar] = [new AdsClient(`unix:${socketPath}`), new AdsClient(`unix:${socketPath}`)];
	t.teardown(() => own.close());
	t.teardown(() => sidecar.close());
	own.ask("clusters", [], undefined, { node: "edge" });
	await own.next();
	t.same(edge(), nothing);
	const another = await connect("weir/envoy/edge");
	await another.follow("edge", ["guarded/v1"]);
	sidecar.ask("tables", ["plan"], undefined, { node: "edge" });
	await sidecar.next();
	t.same(edge(), nothing);
	own.close();
	while (server.proxies().length > 3) await new Promise((resolve) => setTimeout(resolve, 5));
	t.same(edge(), nothing, "and when it is away");
	const back = new AdsClient(`unix:${socketPath}`);
	t.teardown(() => back.close());
	await back.follow("edge", ["guarded/v1"]);
	while (edge()?.plan !== plan.version) await new Promise((resolve) => setTimeout(resolve, 5));
	t.match(edge(), taken);
});

t.test("while what was published before is tried on it, no listener is the one that is published last", async (t) => {
	const { whole } = new Publication(planOf(["a.test"]), 1, new SnapshotMaker());
	const channels = Object.fromEntries(TYPES.map((type) => [type, new Channel(type, true, 1_000)]));
	const { listeners } = channels;
	if (listeners === undefined) throw new Error("no channel");
	listeners.accepted = whole.views.listeners;
	const served = (isNewest: boolean) =>
		servedGateways(channels as Record<TypeName, Channel>, whole, isNewest).get("edge");
	t.match(served(true), { current: true });
	t.match(served(false), { current: false });
});
