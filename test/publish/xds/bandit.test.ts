/** A bandit's shares change in a real Envoy under traffic: no request fails, and no unit is in two arms. */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { experiment, experimentStatus, resourceSet, service, variant } from "../../fixtures/resources.js";
import { published } from "./tinyPlan.js";

const SHARES = [1_000_000, 100_000, 600_000, 50_000, 1_000_000];

t.test("a bandit's shares go up and down under traffic", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-bandit-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const variants = await startVariants(t, 3);
	const own = experiment("models", "shop", [1, 1, 1]);
	const resources = resourceSet({
		services: [
			service(
				"shop",
				variants.map(({ port }, index) => variant(`v${index + 1}`, port)),
			),
		],
		experiments: [own],
	});
	const planAt = (share: number) => {
		const shares = { ppm: { arm1: 1_000_000, arm2: share, arm3: 1_000_000 }, firstMovedAtMs: 0, movedAtMs: 0 };
		const status = experimentStatus(own, { stepIndex: 1, allocationPpm: 1_000_000, shares });
		return compile(resources, { experiments: { models: status }, services: {} }, { collectors: NO_COLLECTORS });
	};
	const socketPath = join(directory, "ads.sock");
	const server = new XdsServer();
	t.teardown(() => server.close());
	await server.listen({ socketPath });
	const publish = (revision: number): Promise<void> =>
		new Promise((resolve) => {
			const stop = server.onAcknowledged((acknowledged) => {
				if (acknowledged !== revision) return;
				stop();
				resolve();
			});
			const { envoy, table } = planAt(SHARES[revision - 1] ?? 0);
			server.publish(published(envoy, table), revision);
		});
	const first = publish(1);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	await first;

	const agent = new Agent({ keepAlive: true, maxSockets: 8 });
	t.teardown(() => agent.destroy());
	const get = (unit: string): Promise<{ readonly status: number; readonly arm: string; readonly variant: string }> =>
		new Promise((resolve) => {
			const headers = { host: "shop.test", "x-user-id": unit };
			request({ port: envoy.port(), host: "127.0.0.1", headers, agent }, (response) => {
				response.resume();
				const { "x-weir-arm": arm = "", "x-variant": served = "" } = response.headers;
				response.on("end", () =>
					resolve({ status: response.statusCode ?? 0, arm: String(arm), variant: String(served) }),
				);
			})
				.on("error", () => resolve({ status: 0, arm: "", variant: "" }))
				.end();
		});

	const armsOf = new Map<string, Set<string>>();
	let failed = 0;
	let odd = 0;
	let requests = 0;
	let running = true;
	const run = async (start: number): Promise<void> => {
		for (let index = start; running; index++) {
			const unit = `user-${index % 300}`;
			const { status, arm, variant: served } = await get(unit);
			requests++;
			if (status !== 200) failed++;
			const live = /^models\/arm(\d)$/.exec(arm)?.[1];
			if (served !== `v${live ?? 1}`) odd++;
			if (live === undefined) continue;
			armsOf.set(unit, (armsOf.get(unit) ?? new Set()).add(live));
		}
	};
	const runs = [run(0), run(100), run(200)];
	for (let revision = 2; revision <= SHARES.length; revision++) {
		await publish(revision);
		const before = requests;
		// Each unit sends at least one request under each plan.
		while (requests < before + 1_000) await get("uncounted");
	}
	running = false;
	await Promise.all(runs);
	t.comment(`${requests} requests`);
	t.equal(failed, 0, "no request failed");
	t.equal(odd, 0, "outside every arm the default Variant answers");
	t.same(
		[...armsOf].filter(([, arms]) => arms.size > 1),
		[],
		"no unit is in two arms",
	);
	t.equal(new Set([...armsOf.values()].flatMap((arms) => [...arms])).size, 3);
});
