/** What a client has of which plan, Gateway by Gateway, as it says so itself over real gRPC. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { XdsServer } from "../../src/xds/server.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { AdsClient } from "./adsClient.js";

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
		t.same(edge(), { plan: first.version, coming: null, current: true, refused: false });

		server.publish(second, 2);
		const routes = await client.next();
		t.same(edge(), { plan: first.version, coming: second.version, current: true, refused: false });
		client.ask("routes", ["weir/edge"], routes, { error: "no" });
		await changed(() => edge()?.coming === null);
		t.equal(edge()?.plan, first.version, "it goes on with what it had");
		t.not(first.version, second.version);

		const third = planOf(["c.test"], 8081);
		server.publish(third, 3);
		const listeners = await client.next();
		t.match(edge(), { plan: first.version, current: false, refused: false }, "on its way");
		client.ask("listeners", [], listeners, { error: "no" });
		client.ask("listeners", [], await client.next());
		const next = await client.next();
		t.match(edge(), { coming: third.version, current: false, refused: true });
		client.ask("routes", ["weir/edge"], next);
		await changed(() => edge()?.coming === null);
		t.same(edge(), { plan: third.version, coming: null, current: false, refused: true });
		client.close();
		await changed(() => server.served("here") === null);
	},
);
