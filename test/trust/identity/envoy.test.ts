/** A real Envoy whose identity and trust come from our own CA over SDS. */
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { forwardedClient, parseForwardedClientCert } from "../../../src/compile/access/requests/forwardedClientCert.js";
import { readRoot, type SigningRoot } from "../../../src/trust/identity/signing.js";
import { startEnvoy } from "../../envoy/harness.js";
import { crafted, dns, uri } from "./craftedCertificates.js";
import { createDevelopmentCa } from "./developmentCa.js";
import {
	attempt,
	CLIENT,
	client,
	clientTls,
	ENVOY,
	get,
	guardedServer,
	id,
	identityOf,
	mesh,
	meshBootstrap,
	mutualAgent,
	PREDICTOR,
	TRUST_DOMAIN,
} from "./mesh.js";

t.setTimeout(120_000);

async function rootOf(directory: string): Promise<SigningRoot> {
	const { roots, signer } = JSON.parse(await readFile(join(directory, "ca/roots.json"), "utf8"));
	return readRoot(TRUST_DOMAIN, roots[signer]);
}

t.test("mTLS from client to Envoy to server by SDS: each end requires the other's id", async (t) => {
	const { directory, ca, socket, predictor, caller } = await mesh(t);
	const envoy = await startEnvoy(t, meshBootstrap({ identitySocket: socket("envoy"), upstreamPort: predictor.port }));
	const port = envoy.port();
	t.equal(await client(caller, port)(), 200);
	t.match(await envoy.admin("/certs"), ENVOY, "the certificate is the CA's");
	t.match(predictor.forwarded[0], `URI=${CLIENT}`);
	const own = new X509Certificate(caller.current().certificate);
	t.same(
		forwardedClient([predictor.forwarded[0] ?? ""], ENVOY, new Set([ENVOY])),
		{ spiffeId: CLIENT, certificateThumbprint: createHash("sha256").update(own.raw).digest("base64url") },
		"Envoy's own header is read as it is meant",
	);
	const [element] = parseForwardedClientCert(predictor.forwarded[0] ?? "") ?? [];
	t.same(element?.by, [ENVOY]);
	t.match(decodeURIComponent(element?.cert ?? ""), /BEGIN CERTIFICATE/);
	await t.rejects(client(caller, port, PREDICTOR)(), /the server is .*envoy/, "and the client demands Envoy's id");
	const past = { host: "127.0.0.1", port: predictor.port };
	t.equal(
		await attempt(
			past.port,
			clientTls(caller, () => true),
		),
		"refused",
		"past Envoy the client gets nowhere",
	);
	t.same(predictor.refusals, [`not-admitted ${CLIENT}`]);

	const root = await rootOf(directory);
	const with_ = (own: { certificate: string; privateKey: string }) =>
		attempt(port, { ca: ca.bundle(), cert: own.certificate, key: own.privateKey });
	t.equal(await with_(await crafted(root, [uri(CLIENT)])), 200, "the cases below differ only in the name or the time");
	const elsewhere = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const cases: readonly (readonly [string, Promise<number | "refused">])[] = [
		["no certificate", attempt(port, { ca: ca.bundle() })],
		["another root, the same id", with_(await elsewhere.issue({ spiffeId: CLIENT }))],
		["another trust domain, our root", with_(await crafted(root, [uri("spiffe://other.test/weir/client")]))],
		["expired", with_(await crafted(root, [uri(CLIENT)], { endedMsAgo: 1_000 }))],
		["another id", with_(await crafted(root, [uri(id("unknown"))]))],
		["NUL after the id", with_(await crafted(root, [uri(`${CLIENT}\0.evil`)]))],
		["the id as a DNS name", with_(await crafted(root, [dns(CLIENT)]))],
	];
	for (const [what, outcome] of cases) t.equal(await outcome, "refused", what);

	const before = predictor.forwarded.length;
	await with_(await crafted(root, [uri(CLIENT), uri(id("operator/root"))]));
	const [two] = predictor.forwarded.slice(before);
	t.equal(
		two === undefined ? null : forwardedClient([two], ENVOY, new Set([ENVOY])),
		null,
		"two URIs, one of them right: TLS accepts it, but no part uses it as an identity (RBAC refuses it, access tests)",
	);
	const agent = mutualAgent(caller, (peer) => peer === ENVOY);
	const spoofed = await get({
		port,
		agent,
		headers: { "x-forwarded-client-cert": `By=${ENVOY};URI=${id("operator/root")}` },
	});
	agent.destroy();
	t.equal(spoofed, 200);
	t.equal(
		forwardedClient([predictor.forwarded.at(-1) ?? ""], ENVOY, new Set([ENVOY]))?.spiffeId,
		CLIENT,
		"a spoofed one is gone",
	);
});

t.test("SDS accepts SPIRE's names for secrets: the SPIFFE id and the trust domain", async (t) => {
	const { socket, predictor, caller } = await mesh(t);
	const envoy = await startEnvoy(
		t,
		meshBootstrap({
			identitySocket: socket("envoy"),
			upstreamPort: predictor.port,
			certificate: ENVOY,
			bundle: `spiffe://${TRUST_DOMAIN}`,
		}),
	);
	t.equal(await client(caller, envoy.port())(), 200);
});

t.test("Envoy sends nothing to an upstream without the required id", async (t) => {
	const { socket, caller } = await mesh(t);
	const impostor = await guardedServer(t, await identityOf(t, socket("unknown")));
	const envoy = await startEnvoy(t, meshBootstrap({ identitySocket: socket("envoy"), upstreamPort: impostor.port }));
	t.equal(await client(caller, envoy.port())(), 503);
	t.equal(impostor.forwarded.length, 0);
});
