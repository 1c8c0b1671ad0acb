/**
 * Policies change under load, with a real Envoy and a real sidecar: no request fails, each is judged by the old rules or the new,
 * and an invalid plan leaves the last good one in force.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy } from "../../../src/declare/resources/resource.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { mutualTls, spiffe } from "../../compile/access/mutualTls.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { startSidecar } from "../../publish/sidecar/rig.js";

t.setTimeout(120_000);

const SERVICES = ["native", "asked"];
const SWAPS = 12;

t.test("no failed request and no wrong verdict while policies change", async (t) => {
	const tls = await mutualTls(t);
	const [upstream] = await startVariants(t, 1);
	const plan = (even: boolean) => {
		// Other names and rules each time, with the same verdict on /always and /never.
		const rules: readonly AccessPolicy[] = even
			? [
					accessPolicy("wide", "allow", SERVICES, { principals: [spiffe("alice")] }),
					accessPolicy("no", "deny", SERVICES, { pathPrefixes: ["/never"] }),
				]
			: [
					accessPolicy("narrow", "allow", SERVICES, {
						principals: [spiffe("alice"), spiffe("bob")],
						pathPrefixes: ["/always"],
					}),
					accessPolicy("bad", "deny", SERVICES, { principals: [spiffe("mallory")] }),
				];
		return compile(
			resourceSet({
				gateways: [gateway({ tls: tls.gateway })],
				services: SERVICES.map((name) =>
					service(name, [variant("v1", upstream?.port ?? 0)], {
						access: null,
						callout: { ...PATIENT, access: name === "asked" ? "sidecar" : "native" },
					}),
				),
				accessPolicies: rules,
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS, sidecar: "always" },
		);
	};
	const sidecar = await startSidecar(t, plan(true));
	const directory = await mkdtemp(join(tmpdir(), "weir-reload-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const server = new XdsServer();
	t.teardown(() => server.close());
	const socketPath = join(directory, "ads.sock");
	await server.listen({ socketPath });
	const acknowledged = (wanted: number): Promise<void> =>
		new Promise((resolve) => {
			const stop = server.onAcknowledged((revision) => {
				if (revision !== wanted) return;
				stop();
				resolve();
			});
		});
	const publish = async (even: boolean, revision: number): Promise<void> => {
		const done = acknowledged(revision);
		const next = plan(even);
		sidecar.tables.put(next);
		sidecar.tables.confirm();
		server.publish(next, revision);
		await done;
	};
	const first = acknowledged(1);
	server.publish(plan(true), 1);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1", sidecarSocket: sidecar.socketPath };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	await first;
	const alice = await tls.ca.issue({ spiffeId: spiffe("alice") });
	const agent = new Agent({
		keepAlive: true,
		maxSockets: 8,
		ca: tls.ca.certificate,
		cert: alice.certificate,
		key: alice.privateKey,
		servername: "gateway.test",
	});
	t.teardown(() => agent.destroy());
	const status = (name: string, path: string): Promise<number | string> =>
		new Promise((resolve) => {
			request(
				{ host: "127.0.0.1", port: envoy.port("edge"), path, headers: { host: `${name}.test` }, agent },
				(response) => {
					response.resume();
					response.on("end", () => resolve(response.statusCode ?? 0));
				},
			)
				.on("error", (error) => resolve(String(error)))
				.end();
		});
	const seen = new Map<string, number>();
	let running = true;
	const load = SERVICES.flatMap((name) =>
		["/always", "/never/x", "/toggle"].map(async (path) => {
			while (running) {
				const answer = `${name} ${path} ${await status(name, path)}`;
				seen.set(answer, (seen.get(answer) ?? 0) + 1);
				await pause(5);
			}
		}),
	);
	for (let revision = 2; revision < 2 + SWAPS; revision++) {
		const even = revision % 2 === 1;
		await publish(even, revision);
		for (const name of SERVICES) {
			t.equal(await status(name, "/toggle"), even ? 200 : 403, `revision ${revision}: ${name} judges by the new rules`);
		}
	}
	// Even rules are in force; a plan that names a missing cluster is refused as a whole.
	const broken = plan(false);
	t.throws(() => server.publish({ ...broken, envoy: { ...broken.envoy, clusters: [] } }, 100), {
		code: "failed-precondition",
	});
	for (const name of SERVICES) t.equal(await status(name, "/toggle"), 200, `${name}: the last good rules stay`);
	running = false;
	await Promise.all(load);
	const answers = [...seen.keys()].sort();
	t.same(
		answers,
		SERVICES.flatMap((name) => [
			`${name} /always 200`,
			`${name} /never/x 403`,
			`${name} /toggle 200`,
			`${name} /toggle 403`,
		]).sort(),
		"every answer is by the old rules or by the new",
	);
	t.comment(`${[...seen.values()].reduce((sum, count) => sum + count, 0)} requests, ${SWAPS} swaps`);
});
