/**
 * Trust domains whose ids a Gateway accepts, on a real Envoy: TLS refuses others before any request, so also at open Services
 * and for policies on users only, in every execution.
 */
import { readFile, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { dirname, join } from "node:path";
import { connect } from "node:tls";
import t from "tap";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { staticBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { GatewayTls, ResourceSet } from "../../../src/declare/resources/resource.js";
import { startCa } from "../../../src/trust/identity/ca.js";
import { readRoot } from "../../../src/trust/identity/signing.js";
import { FORMS } from "../../attack/scene.js";
import { startVerifyingSidecar } from "../../attack/sidecar.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import type { IssuedCertificate } from "../../trust/identity/developmentCa.js";
import { scratch } from "../../trust/identity/mesh.js";
import { strange, uri } from "../../trust/identity/strangeCertificates.js";
import { ISSUER, issuerOf, jwksBytes, keyPair, publicJwk } from "../../trust/tokens/issuer.js";
import { mutualTls, spiffe, TRUST_DOMAIN } from "./mutualTls.js";
import { oddCa } from "./oddCertificates.js";

t.setTimeout(120_000);
// Most of the time is waiting.
t.jobs = 4;

const upstream = await startVariantServer("v1");
t.teardown(() => upstream.close());

const keys = join(await scratch(t), "keys.json");
await writeFile(keys, jwksBytes([await publicJwk(await keyPair(), { kid: "k1" })]));

/** The response of each Service to accepted clients. */
const HOSTS = { open: 200, star: 200, users: 403 } as const;
const OWN = [spiffe("app"), spiffe("a/b/c")];
/** Begins as the own one, holds it, and is none. */
const OTHERS = [
	"spiffe://evil.test/app",
	`spiffe://${TRUST_DOMAIN}.evil/app`,
	`spiffe://evil.${TRUST_DOMAIN}/app`,
	`spiffe://evil.test/${TRUST_DOMAIN}/app`,
	`spiffe://${TRUST_DOMAIN}`,
	`spiffe://${TRUST_DOMAIN}:1/app`,
	`spiffe://${TRUST_DOMAIN}@evil.test/app`,
	`spiffe://${TRUST_DOMAIN.toUpperCase()}/app`,
	`https://${TRUST_DOMAIN}/app`,
	// Texts of the own domain that are no ids.
	...["/", "//app", "/app/", "/./app", "/../app", "/app?x", "/app#x", "/%61pp", "/app ", "/app\0x", "/app\0"].map(
		(path) => `spiffe://${TRUST_DOMAIN}${path}`,
	),
	`spiffe://${TRUST_DOMAIN.replace(".", "x")}/app`,
];

function declared(tls: GatewayTls): ResourceSet {
	const on = [variant("v1", upstream.port)];
	const closed = { access: null, callout: PATIENT } as const;
	return resourceSet({
		gateways: [gateway({ tls, tokens: [issuerOf({ keys: { from: "file", file: keys } })] })],
		services: [service("open", on), service("star", on, closed), service("users", on, closed)],
		accessPolicies: [
			accessPolicy("star", "allow", ["star"], { principals: ["*"] }),
			accessPolicy("users", "allow", ["users"], { users: [`${ISSUER}#*`] }),
		],
	});
}

type Tap = typeof t;

/** The status; `refused` = no TLS connection. */
type Asked = number | "refused";

async function byHttp1(
	port: number,
	{ certificate: cert, privateKey: key }: IssuedCertificate,
	host: string,
): Promise<Asked> {
	const socket = connect({ port, host: "127.0.0.1", servername: "", rejectUnauthorized: false, cert, key });
	let text = "";
	socket.setEncoding("latin1").on("data", (chunk: string) => {
		text += chunk;
	});
	// An alert is an error first, and here a way to be refused.
	socket.on("error", () => {});
	socket.write(`GET / HTTP/1.1\r\nhost: ${host}.test\r\nconnection: close\r\n\r\n`);
	await new Promise((resolve) => socket.on("close", resolve));
	const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
	return status === undefined ? "refused" : Number(status);
}

async function byHttp2(
	port: number,
	{ certificate: cert, privateKey: key }: IssuedCertificate,
	host: string,
): Promise<Asked> {
	const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: "", rejectUnauthorized: false, cert, key });
	try {
		return await new Promise<Asked>((resolve) => {
			session.on("error", () => resolve("refused"));
			session.on("close", () => resolve("refused"));
			const stream = session.request({ ":path": "/", ":authority": `${host}.test` });
			stream.on("error", () => resolve("refused"));
			stream.on("response", (headers) => resolve(Number(headers[":status"])));
			stream.resume();
		});
	} finally {
		session.destroy();
	}
}

/** @param taken whether they are */
async function ask(
	t: Pick<Tap, "equal">,
	port: number,
	issue: (id: string) => Promise<IssuedCertificate>,
	ids: readonly string[],
	taken: boolean,
): Promise<void> {
	for (const id of ids) {
		const own = await issue(id);
		for (const [host, status] of Object.entries(HOSTS)) {
			const expected = taken ? status : "refused";
			t.equal(await byHttp1(port, own, host), expected, `${id} at ${host}`);
			t.equal(await byHttp2(port, own, host), expected, `${id} at ${host}, HTTP/2`);
		}
	}
}

for (const [form, options] of Object.entries(FORMS)) {
	t.test(`a Gateway with identity: mesh accepts only its trust domains, ${form}`, async (t) => {
		const directory = await scratch(t);
		const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN });
		t.teardown(() => ca.close());
		const identitySocket = join(directory, "run", "envoy.sock");
		await ca.workload(spiffe("weir/envoy/gateway"), identitySocket);
		const { roots, signer } = JSON.parse(await readFile(join(directory, "ca/roots.json"), "utf8"));
		const root = await readRoot(TRUST_DOMAIN, roots[signer]);
		const start = async (more: Partial<CompileOptions>) => {
			const plan = compile(declared({ from: "identity" }), EMPTY_STATUS, {
				collectors: NO_COLLECTORS,
				...options,
				...more,
			});
			const sidecarSocket = plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null;
			return startEnvoy(t, (adminSocket) =>
				staticBootstrap(plan.envoy, {
					collectors: NO_COLLECTORS,
					adminSocket,
					nodeId: "n",
					identitySocket,
					sidecarSocket,
				}),
			);
		};
		const issue = (id: string) => strange(root, [uri(id)]);
		const envoy = await start({ trustDomain: TRUST_DOMAIN });
		await ask(t, envoy.port(), issue, OWN, true);
		await ask(t, envoy.port(), issue, OTHERS, false);
		const unknowing = await start({});
		await ask(t, unknowing.port(), issue, [...OWN, ...OTHERS.slice(0, 1)], false);
	});

	t.test(`a Gateway with a CA file accepts only its trust domains, ${form}`, async (t) => {
		const [tls, ca] = await Promise.all([mutualTls(t), oddCa()]);
		const clientCaFile = join(dirname(tls.gateway.certificateFile), "both.pem");
		await writeFile(clientCaFile, `${tls.ca.certificate}\n${ca.certificate}`);
		const start = async (trustDomains?: readonly string[]) => {
			const named = trustDomains === undefined ? {} : { trustDomains };
			const resources = declared({ ...tls.gateway, clientCaFile, ...named });
			const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...options });
			const sidecar = plan.asksSidecar ? await startVerifyingSidecar(t, plan) : null;
			return startEnvoy(t, bootstrapOf(plan, undefined, sidecar));
		};
		const issue = (id: string) => ca.issue([uri(id)]);
		const one = await start([TRUST_DOMAIN]);
		await ask(t, one.port(), issue, OWN, true);
		await ask(t, one.port(), issue, OTHERS, false);
		const two = await start([TRUST_DOMAIN, "evil.test"]);
		await ask(t, two.port(), issue, [...OWN, ...OTHERS.slice(0, 1)], true);
		await ask(t, two.port(), issue, OTHERS.slice(1, 3), false);
		const any = await start();
		await ask(t, any.port(), issue, [...OWN, ...OTHERS.slice(0, 3)], true);
	});
}

t.test("without trust domains the listener stays the same, with a warning", async (t) => {
	const files = { from: "files", certificateFile: "/c", privateKeyFile: "/k", clientCaFile: "/ca" } as const;
	const of = (tls: GatewayTls, more: Partial<CompileOptions> = {}) =>
		compile(declared(tls), EMPTY_STATUS, { collectors: NO_COLLECTORS, ...more });
	const text = (tls: GatewayTls, more: Partial<CompileOptions> = {}): string =>
		JSON.stringify(of(tls, more).envoy.listeners);
	t.match(text(files), '"validation_context":{"trusted_ca":{"filename":"/ca"}}}');
	t.equal(text(files, { trustDomain: TRUST_DOMAIN }), text(files), "the mesh's own is another matter");
	const told = (tls: GatewayTls) => of(tls).rules.filter(({ rule }) => rule === "Gateway edge: clients");
	t.match(told(files), [{ because: /ANY trust domain that the CA of \/ca signs for.*name them in tls\.trustDomains/ }]);
	t.same(told({ ...files, trustDomains: ["a.test"] }), []);
	t.same(told({ ...files, clientCaFile: null }), []);
	t.same(told({ from: "identity" }), []);
});
