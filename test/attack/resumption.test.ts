/**
 * A TLS session is no proof: a client whose certificate has expired resumes no session. With a real Envoy,
 * certificates from files and SVIDs.
 */
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { staticBootstrap } from "../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { startCa } from "../../src/trust/identity/ca.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { startEnvoy } from "../envoy/harness.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { CLIENT, ENVOY, identityOf, scratch, TRUST_DOMAIN } from "../trust/identity/mesh.js";
import { byItsSession } from "../trust/identity/resumption.js";
import { attackScene, FORMS } from "./scene.js";

t.setTimeout(120_000);

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
const SERVED = "HTTP/1.1 200 OK";

for (const form of Object.keys(FORMS)) {
	t.test(`${form}: a resumed session without a certificate cannot send a request`, async (t) => {
		const scene = await attackScene(t, form, (port, tls) =>
			resourceSet({
				gateways: [gateway({ tls: tls.gateway })],
				services: [service("closed", [variant("v1", port)], { access: null, callout: PATIENT })],
				accessPolicies: [accessPolicy("alice", "allow", ["closed"], { principals: [spiffe("alice")] })],
			}),
		);
		const { certificate: cert, privateKey: key } = await scene.tls.ca.issue({ spiffeId: spiffe("alice") });
		const shown = { ca: scene.tls.ca.certificate, servername: "gateway.test", cert, key };
		for (const version of VERSIONS) {
			const { first, second } = await byItsSession(scene.envoy.port(), shown, { host: "closed.test", version });
			t.equal(first.received, SERVED, version);
			t.match(second, { reused: false, received: "" }, version);
		}
	});
}

t.test("a client with a workload identity presents its SVID on each connection", async (t) => {
	const directory = await scratch(t);
	const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN });
	t.teardown(() => ca.close());
	const socket = (name: string) => join(directory, "run", `${name}.sock`);
	await ca.workload(ENVOY, socket("envoy"));
	await ca.workload(CLIENT, socket("client"));
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const plan = compile(
		resourceSet({
			gateways: [gateway({ tls: { from: "identity" } })],
			services: [service("closed", [variant("v1", upstream.port)], { access: null })],
			accessPolicies: [accessPolicy("client", "allow", ["closed"], { principals: [CLIENT] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS, trustDomain: TRUST_DOMAIN },
	);
	const identitySocket = socket("envoy");
	const envoy = await startEnvoy(t, (adminSocket) =>
		staticBootstrap(plan.envoy, { collectors: NO_COLLECTORS, adminSocket, nodeId: "n", identitySocket }),
	);
	const { certificate: cert, privateKey: key } = (await identityOf(t, socket("client"))).current();
	const { first, second } = await byItsSession(envoy.port(), { ca: ca.bundle(), cert, key }, { host: "closed.test" });
	t.equal(first.received, SERVED);
	t.match(second, { reused: false, received: "" });
});

t.test("a server with tickets resumes sessions, and the client notices that", async (t) => {
	const tls = await mutualTls(t);
	const own = await tls.ca.issue({ spiffeId: spiffe("server"), dnsNames: ["gateway.test"] });
	const options = { cert: own.certificate, key: own.privateKey, ca: tls.ca.certificate };
	const server = createServer({ ...options, requestCert: true }, (_, response) => response.end()).listen(
		0,
		"127.0.0.1",
	);
	await once(server, "listening");
	t.teardown(() => void server.close());
	const { certificate: cert, privateKey: key } = await tls.ca.issue({ spiffeId: spiffe("alice") });
	for (const version of VERSIONS) {
		const { port } = server.address() as AddressInfo;
		const { second } = await byItsSession(port, { ca: tls.ca.certificate, cert, key }, { version });
		t.match(second, { reused: true, received: SERVED }, version);
	}
});
