/**
 * A removed endpoint gets no more requests although it is healthy, and no request fails while its successor is checked.
 * With a real Envoy, with and without health checks.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";

for (const healthCheck of [null, HEALTH])
	t.test(`removed endpoints get no requests ${healthCheck === null ? "without" : "with"} health checks`, async (t) => {
		const directory = await mkdtemp(join(tmpdir(), "weir-leaving-"));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		const [leaving, staying, coming] = (await startVariants(t, 3)).map(({ port }) => port) as [number, number, number];
		const planOf = (ports: readonly number[]) =>
			compile(
				resourceSet({
					gateways: [gateway()],
					services: [service("model", [variant("v1", ...ports)], { healthCheck })],
				}),
				EMPTY_STATUS,
				{ collectors: NO_COLLECTORS },
			);
		// A clock that is set back extends no wait.
		let setBackMs = 0;
		const server = new XdsServer({ nowMs: () => Date.now() - setBackMs });
		t.teardown(() => server.close());
		const socket = join(directory, "ads.sock");
		await server.listen({ socketPath: socket });
		const acknowledged = (wanted: number) =>
			new Promise<void>((resolve) => {
				const stop = server.onAcknowledged((revision) => {
					if (revision !== wanted) return;
					stop();
					resolve();
				});
			});
		const publish = (ports: readonly number[], revision: number): Promise<void> => {
			const done = acknowledged(revision);
			server.publish(planOf(ports), revision);
			return done;
		};
		const first = publish([leaving, staying], 1);
		const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
		const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socket, { ...options, adminSocket }));
		await first;

		const agent = new Agent({ keepAlive: true, maxSockets: 4 });
		t.teardown(() => agent.destroy());
		const get = (): Promise<string> =>
			new Promise((resolve) => {
				const headers = { host: "model.test" };
				request({ port: envoy.port("edge"), host: "127.0.0.1", headers, agent }, (response) => {
					response.resume().on("end", () => resolve(`${response.statusCode} ${response.headers["x-variant"] ?? "-"}`));
				})
					.on("error", (error) => resolve(String(error)))
					.end();
			});
		const answers = new Set<string>();
		let running = true;
		const traffic = [1, 2, 3].map(async () => {
			while (running) {
				answers.add(await get());
				await pause(5);
			}
		});
		/** Waits until Envoy has only these endpoints. */
		const has = async (ports: readonly number[]): Promise<void> => {
			const wanted = ports.map((port) => `127.0.0.1:${port}`).sort();
			for (;;) {
				const lines = (await envoy.admin("/clusters")).split("\n").filter((line) => line.startsWith("model/v1::127."));
				const known = [...new Set(lines.map((line) => line.split("::")[1] ?? ""))].sort();
				if (known.join() === wanted.join()) return;
				await pause(20);
			}
		};
		const served = async (): Promise<readonly string[]> => {
			const seen = new Set<string>();
			for (let index = 0; index < 60; index++) seen.add(await get());
			return [...seen].sort();
		};

		t.same(await served(), ["200 v1", "200 v2"]);
		await publish([staying], 2);
		await has([staying]);
		t.same(await served(), ["200 v2"], "one that leaves");
		await publish([coming], 3);
		setBackMs = 3_600_000;
		await has([coming]);
		t.same(await served(), ["200 v3"], "all that were there");
		running = false;
		await Promise.all(traffic);
		t.same([...answers].sort(), ["200 v1", "200 v2", "200 v3"], "nothing failed");
	});
