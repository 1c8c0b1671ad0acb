/** TLS by identity as compiled: a real Envoy that gets SVID and bundle from our own CA over SDS. */

import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { type RemoteListener, staticBootstrap } from "../../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../../src/declare/resources/resource.js";
import { PEER_RENEWAL_MS } from "../../../../src/limits/index.js";
import { startCa } from "../../../../src/trust/identity/ca.js";
import { mutualAgent, serverTls } from "../../../../src/trust/identity/nodeTls.js";
import type { Workload } from "../../../../src/trust/identity/workloadClient.js";
import { type RunningEnvoy, startEnvoy, type TestScope } from "../../../envoy/harness.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../../fixtures/resources.js";
import {
	attempt,
	ENVOY,
	get,
	guardedServer,
	id,
	identityOf,
	PREDICTOR,
	scratch,
	TRUST_DOMAIN,
	until,
} from "../../../trust/identity/mesh.js";

const NAMES = ["client", "ns/a/one", "ns/b/two", "control", "sidecar"];

async function scene(t: TestScope) {
	const directory = await scratch(t);
	const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN });
	t.teardown(() => ca.close());
	const socket = (name: string) => join(directory, "run", `${name.replaceAll("/", "-")}.sock`);
	await ca.workload(ENVOY, socket("envoy"));
	await ca.workload(PREDICTOR, socket("predictor"));
	for (const name of NAMES) await ca.workload(id(name), socket(name));
	const predictor = await guardedServer(t, await identityOf(t, socket("predictor")));
	const start = (resources: ResourceSet, remote: { accessLog?: RemoteListener } = {}): Promise<RunningEnvoy> => {
		const collectors = {
			accessLogSocket: remote.accessLog ? "/none" : null,
			tracesSocket: null,
			traceSamplingPercent: 0,
		};
		const plan = compile(resources, EMPTY_STATUS, { collectors, trustDomain: TRUST_DOMAIN });
		return startEnvoy(t, (adminSocket) =>
			staticBootstrap(plan.envoy, { collectors, adminSocket, nodeId: "n", identitySocket: socket("envoy"), remote }),
		);
	};
	return { ca, socket, predictor, start };
}

const served = (port: number, identities: readonly string[], fields = {}) =>
	service("mesh", [variant("v1", port)], { identities, hosts: ["mesh.test"], ...fields });
const edge = gateway({ tls: { from: "identity" } });

/** GET of a host by an identity. */
async function ask(identity: Workload, port: number, host: string): Promise<number> {
	const agent = mutualAgent(identity, (peer) => peer === ENVOY);
	try {
		return await get({ port, agent, headers: { host } });
	} finally {
		agent.destroy();
	}
}

t.test("client, Envoy and predictor verify each other's id", async (t) => {
	const { ca, socket, predictor, start } = await scene(t);
	const envoy = await start(
		resourceSet({
			gateways: [edge],
			services: [
				served(predictor.port, [PREDICTOR]),
				{
					...served(predictor.port, ["spiffe://weir.test/other"], { hosts: ["wrong.test"] }),
					metadata: metadataOf("wrong"),
				},
				{ ...served(predictor.port, [`${PREDICTOR}/x`], { hosts: ["prefix.test"] }), metadata: metadataOf("prefix") },
			],
		}),
	);
	const caller = await identityOf(t, socket("client"));
	// On a busy machine a handshake may take longer than Envoy waits.
	await until(async () => (await ask(caller, envoy.port(), "mesh.test")) === 200, "it is served");
	t.match(predictor.forwarded.at(-1), new RegExp(`URI=${id("client")}$`));
	t.equal(await ask(caller, envoy.port(), "wrong.test"), 503, "an endpoint with another id gets no request");
	t.equal(await ask(caller, envoy.port(), "prefix.test"), 503);
	t.equal(predictor.forwarded.length, 1);
	t.equal(await attempt(envoy.port(), { ca: ca.bundle() }), "refused", "no certificate");
	const own = caller.current();
	const shown = { ca: ca.bundle(), cert: own.certificate, key: own.privateKey };
	t.equal(await attempt(envoy.port(), { ...shown, maxVersion: "TLSv1.2" }), "refused", "TLS 1.2");
	t.not(await attempt(envoy.port(), shown), "refused");
});

/** Or it is used once more after the certificate's end: 503. What the server does itself is test/trust/tls/connectionLimits.test.ts. */
t.test("Envoy closes idle connections to servers with mTLS before they would", (t) => {
	const idleOf = (identities: readonly string[] | null): unknown => {
		const services = [service("mesh", [variant("v1", 80)], { identities, hosts: ["mesh.test"] })];
		const { envoy } = compile(resourceSet({ gateways: [edge], services }), EMPTY_STATUS, { collectors: NO_COLLECTORS });
		const extensions = envoy.clusters[0]?.typed_extension_protocol_options ?? {};
		const [http] = Object.values(extensions as Record<string, HttpOptions>);
		return http?.common_http_protocol_options?.idle_timeout;
	};
	const idle = idleOf([PREDICTOR]);
	t.match(idle, /^\d+s$/);
	t.ok(Number.parseInt(String(idle), 10) * 1_000 < PEER_RENEWAL_MS, `${idle}`);
	t.equal(idleOf(null), undefined);
	t.end();
});

interface HttpOptions {
	readonly common_http_protocol_options?: { readonly idle_timeout: string };
}

t.test("principals match exactly, below a prefix, or any", async (t) => {
	const { socket, predictor, start } = await scene(t);
	const guarded = (name: string) => ({
		...served(predictor.port, [PREDICTOR], { hosts: [`${name}.test`], access: null }),
		metadata: metadataOf(name),
	});
	const envoy = await start(
		resourceSet({
			gateways: [edge],
			services: ["exact", "below", "any", "deny"].map(guarded),
			accessPolicies: [
				accessPolicy("exact", "allow", ["exact"], { principals: [id("client")] }),
				accessPolicy("below", "allow", ["below"], { principals: [`${id("ns/a")}/*`] }),
				accessPolicy("any", "allow", ["any", "deny"], { principals: ["*"] }),
				accessPolicy("deny", "deny", ["deny"], { principals: [`${id("ns")}/*`] }),
			],
		}),
	);
	const wanted = {
		client: { exact: 200, below: 403, any: 200, deny: 200 },
		"ns/a/one": { exact: 403, below: 200, any: 200, deny: 403 },
		"ns/b/two": { exact: 403, below: 403, any: 200, deny: 403 },
	};
	for (const [who, hosts] of Object.entries(wanted)) {
		const caller = await identityOf(t, socket(who));
		for (const [host, status] of Object.entries(hosts)) {
			t.equal(await ask(caller, envoy.port(), `${host}.test`), status, `${who} at ${host}`);
		}
	}
});

t.test("control on another machine is reached by mTLS with exactly its id", async (t) => {
	const { socket, predictor, start } = await scene(t);
	const startServer = async (name: string) => {
		const server = createSecureServer({ ...serverTls(await identityOf(t, socket(name))) });
		const seen: string[] = [];
		const opened = new Promise<string>((resolve) => {
			server.on("stream", (stream, headers) => {
				seen.push(String(headers[":path"]));
				resolve(String(headers[":path"]));
				stream.on("error", () => {});
				stream.resume();
			});
		});
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		t.teardown(() => server.close());
		return { port: (server.address() as AddressInfo).port, opened, seen };
	};
	const resources = resourceSet({ gateways: [edge], services: [served(predictor.port, [PREDICTOR])] });
	const caller = await identityOf(t, socket("client"));
	const right = await startServer("control");
	const remote = (port: number) => ({ accessLog: { address: "127.0.0.1", port, spiffeId: id("control") } });
	const envoy = await start(resources, remote(right.port));
	t.equal(await ask(caller, envoy.port(), "mesh.test"), 200);
	t.match(await right.opened, "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs");
	await envoy.stop();
	const wrong = await startServer("sidecar");
	const second = await start(resources, remote(wrong.port));
	t.equal(await ask(caller, second.port(), "mesh.test"), 200);
	await refusedBy(second);
	t.same(wrong.seen, [], "a server with another id receives no stream");
});

/** Envoy counts the certificates that it does not accept. */
async function refusedBy(envoy: RunningEnvoy): Promise<void> {
	for (let attempt = 0; attempt < 500; attempt++) {
		if ((await envoy.stat("cluster.weir_access_log.ssl.fail_verify_san")) > 0) return;
		// Nothing announces it.
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	throw new Error("the wrong certificate was never refused");
}

const metadataOf = (name: string) => ({ name, namespace: "default", labels: {}, annotations: {} });
