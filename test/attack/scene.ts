/**
 * The target of attacks: a real Envoy with our generated configuration, mTLS, an upstream that parses HTTP strictly
 * and records its requests, and the sidecar if the form uses one.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { type MutualTls, mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy, type TestScope } from "../envoy/harness.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { startVerifyingSidecar } from "./sidecar.js";

export const FORMS: Readonly<Record<string, Pick<CompileOptions, "mode" | "protocol">>> = {
	native: {},
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
};

/** One request as the upstream parsed it. */
export interface Received {
	readonly method: string;
	readonly url: string;
	/** Names in lower case, values latin1, in order. */
	readonly headers: readonly (readonly [name: string, value: string])[];
	readonly body: string;
}

export interface Upstream {
	readonly port: number;
	/** All since the last call. */
	take(): readonly Received[];
	close(): Promise<void>;
}

export interface AttackScene {
	readonly tls: MutualTls;
	readonly upstream: Upstream;
	readonly envoy: RunningEnvoy;
	readonly plan: CompiledPlan;
	readonly adminSocket: string;
	/** Opens a connection as that caller. */
	as(name: string): Promise<Socket>;
}

/** alice may read guarded.test under /v2 but not /v2/secret; bob everything but /admin; wide.test judges no path. */
export function attackedResources(port: number, tls: MutualTls): ResourceSet {
	const variants = [variant("v1", port)];
	const fields = { access: null, callout: PATIENT } as const;
	return resourceSet({
		gateways: [gateway({ tls: tls.gateway })],
		services: [
			service("guarded", variants, fields),
			service("wide", variants, { ...fields, hosts: ["wide.test", "*.wide.test"] }),
			service("open", variants),
		],
		accessPolicies: [
			accessPolicy("read-v2", "allow", ["guarded"], {
				principals: [spiffe("alice")],
				methods: ["GET", "POST"],
				pathPrefixes: ["/v2"],
			}),
			accessPolicy("all-but-admin", "allow", ["guarded"], { principals: [spiffe("bob")] }),
			accessPolicy("no-secrets", "deny", ["guarded"], { pathPrefixes: ["/v2/secret", "/admin"] }),
			accessPolicy("wide", "allow", ["wide"], { principals: [spiffe("alice"), spiffe("a.b")] }),
			accessPolicy("no-deletes", "deny", ["wide"], { methods: ["DELETE"] }),
		],
	});
}

/** @param form of FORMS */
export async function attackScene(
	t: TestScope,
	form: string,
	resources: (port: number, tls: MutualTls) => ResourceSet = attackedResources,
	changed: (bootstrap: object) => object = (bootstrap) => bootstrap,
	prepare: (tls: MutualTls) => Promise<Pick<CompileOptions, "keySets">> = async () => ({}),
	version?: string,
): Promise<AttackScene> {
	const [tls, upstream] = await Promise.all([mutualTls(t as never), startUpstream()]);
	const prepared = await prepare(tls);
	t.teardown(() => upstream.close());
	const options = { collectors: NO_COLLECTORS, ...FORMS[form], ...prepared };
	const plan = compile(resources(upstream.port, tls), EMPTY_STATUS, options);
	const bootstrap = bootstrapOf(plan, undefined, plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null);
	let admin = "";
	const envoy = await startEnvoy(
		t,
		(adminSocket) => {
			admin = adminSocket;
			return changed(bootstrap(adminSocket));
		},
		version === undefined ? {} : { version },
	);
	const clients = new Map<string, () => Promise<Socket>>();
	return {
		tls,
		upstream,
		envoy,
		plan,
		adminSocket: admin,
		async as(name) {
			let client = clients.get(name);
			if (client === undefined) {
				client = await tls.client(envoy.port(), name);
				clients.set(name, client);
			}
			return client();
		},
	};
}

async function startUpstream(): Promise<Upstream> {
	let received: Received[] = [];
	const server = createServer({ maxHeaderSize: 256 * 1024, keepAliveTimeout: 60_000 }, (request, response) => {
		void bodyOf(request).then(
			(body) => {
				const headers: [string, string][] = [];
				for (let index = 0; index < request.rawHeaders.length; index += 2) {
					headers.push([(request.rawHeaders[index] ?? "").toLowerCase(), request.rawHeaders[index + 1] ?? ""]);
				}
				received.push({ method: request.method ?? "", url: request.url ?? "", headers, body });
				response.writeHead(200, { "x-path": encodeURI(request.url ?? "") });
				response.end("served\n");
			},
			() => {},
		);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		port: (server.address() as AddressInfo).port,
		take() {
			const taken = received;
			received = [];
			return taken;
		},
		async close() {
			server.closeAllConnections();
			server.close();
			await once(server, "close");
		},
	};
}

async function bodyOf(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString("latin1");
}
