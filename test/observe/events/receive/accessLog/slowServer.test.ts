/** Envoy keeps the entries of a burst until its connection to ingest is established. */

import { Agent } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import t from "tap";
import { ACCESS_LOG_CLUSTER } from "../../../../../src/compile/envoy/listener.js";
import { DROPPED_COUNTER } from "../../../../../src/observe/agent/accessLogLosses.js";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import { answerOf } from "../../../../fixtures/answerOf.js";
import { createDevelopmentCa } from "../../../../trust/identity/developmentCa.js";
import { idOf, TRUST_DOMAIN } from "../../ownIdentity.js";
import { GUARDED, startLiveRig } from "../../rig.js";

const REQUESTS = 400;

/** The same Envoy, whose access log goes over TLS, as that of another machine. */
function overTls(bootstrap: object, port: number): object {
	const { static_resources: given } = bootstrap as { static_resources: { clusters: readonly { name: string }[] } };
	const clusters = given.clusters.map((cluster) =>
		cluster.name !== ACCESS_LOG_CLUSTER
			? cluster
			: {
					...cluster,
					connect_timeout: "30s",
					load_assignment: {
						cluster_name: ACCESS_LOG_CLUSTER,
						endpoints: [
							{
								lb_endpoints: [
									{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } },
								],
							},
						],
					},
					transport_socket: {
						name: "envoy.transport_sockets.tls",
						typed_config: {
							"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
							common_tls_context: { alpn_protocols: ["h2"] },
						},
					},
				},
	);
	return { ...bootstrap, static_resources: { ...given, clusters } };
}

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(`Envoy ${version} keeps entries until ingest accepts its connection`, { timeout: 120_000 }, async (t) => {
		const { rig, planOf, collectors } = await startLiveRig(t);
		const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
		const { certificate: cert, privateKey: key } = await ca.issue({ spiffeId: idOf("control") });
		const waiting: Socket[] = [];
		const server = createServer((client) => void waiting.push(client.on("error", () => undefined)));
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		t.teardown(() => {
			for (const client of waiting) client.destroy();
			server.close();
		});
		const { port } = server.address() as AddressInfo;
		const plan = planOf(GUARDED);
		const envoy = await startEnvoy(t, (admin) => overTls(bootstrapOf(plan, collectors)(admin), port), {
			version,
			concurrency: 1,
		});
		const agent = new Agent({ keepAlive: true, maxSockets: 16 });
		t.teardown(() => agent.destroy());
		const deny = () => answerOf({ port: envoy.port(), path: "/no", headers: { host: "guarded.test" }, agent });
		await deny();
		// Envoy connects when it has something to write.
		while (waiting.length === 0) await pause(20);
		await Promise.all(Array.from({ length: REQUESTS - 1 }, deny));
		for (const client of waiting) {
			const tls = new TLSSocket(client, { isServer: true, cert, key, ALPNProtocols: ["h2"] });
			const to = connect(rig.accessLogSocket).on("error", () => undefined);
			t.teardown(() => to.destroy());
			tls
				.on("error", () => undefined)
				.pipe(to)
				.pipe(tls);
		}
		const recorded = async () => {
			const { decisions } = (await rig.call("GET", "/v1/requests?kind=denied&limit=1000", ""))
				.json as AccessRecordsAnswer;
			return decisions.length;
		};
		while ((await recorded()) + (await envoy.stat(DROPPED_COUNTER)) < REQUESTS) await pause(50);
		t.equal(await envoy.stat(DROPPED_COUNTER), 0);
		t.equal(await recorded(), REQUESTS);
	});
