/**
 * A Gateway behind trusted proxies, on a real Envoy with the sidecar: the client is the one that such a proxy names, and
 * no other peer can name one. A request needs the rights of both the proxy and its client.
 */
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { parseResources } from "../../../src/declare/resources/parse.js";
import { startVerifyingSidecar } from "../../attack/sidecar.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { AUDIENCE, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { mutualTls, spiffe } from "./mutualTls.js";

t.setTimeout(60_000);

const tls = await mutualTls(t);
const heads: string[] = [];
const upstream = await startVariantServer("v1", (socket, head) => {
	heads.push(head);
	socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
});
t.teardown(() => upstream.close());

const pair = await keyPair();
const directory = await mkdtemp(join(tmpdir(), "weir-proxies-"));
t.teardown(() => rm(directory, { recursive: true, force: true }));
const keys = join(directory, "keys.json");
await writeFile(keys, jwksBytes([await publicJwk(pair, { kid: "k1" })]));
const bound = (certificate: string) => {
	const iat = Math.floor(Date.now() / 1_000);
	return signed(
		{ iss: ISSUER, aud: AUDIENCE, sub: "ann", iat, exp: iat + 600, cnf: { "x5t#S256": certificate } },
		pair,
	);
};

const variants = [variant("v1", upstream.port)];
const fields = { access: null, callout: PATIENT } as const;
const resources = resourceSet({
	gateways: [
		gateway({
			tls: tls.gateway,
			trustedProxies: [spiffe("proxy"), spiffe("banned")],
			tokens: [issuerOf({ keys: { from: "file", file: keys }, binding: "mtls" })],
		}),
	],
	services: [
		service("guarded", variants, fields),
		service("proxies", variants, fields),
		service("anyone", variants, fields),
		service("bound", variants, fields),
		service("open", variants),
	],
	accessPolicies: [
		accessPolicy("anyone", "allow", ["anyone"], { principals: ["*"] }),
		accessPolicy("alice", "allow", ["guarded"], { principals: [spiffe("alice"), spiffe("eve")] }),
		accessPolicy("not-eve", "deny", ["guarded"], { principals: [spiffe("eve")] }),
		accessPolicy("not-banned", "deny", ["guarded"], { principals: [spiffe("banned")] }),
		accessPolicy("ann", "allow", ["bound"], { users: [`${ISSUER}#ann`] }),
		accessPolicy("proxy-itself", "allow", ["proxies"], { principals: [spiffe("proxy"), spiffe("plain")] }),
	],
});

for (const protocol of ["ext_authz", "ext_proc"] as const) {
	t.test(`a trusted proxy names the client, by ${protocol}`, async (t) => {
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, protocol });
		t.match(
			plan.rules.find(({ rule }) => rule === "Service guarded: access")?.because,
			/trusted proxies.*see the proxy/,
		);
		const sidecar = await startVerifyingSidecar(t, plan);
		const envoy = await startEnvoy(t, bootstrapOf(plan, NO_COLLECTORS, sidecar));
		const ask = async (peer: string, host: string, ...lines: readonly string[]): Promise<number> => {
			const target = await tls.client(envoy.port(), peer);
			const request = rawGet(
				`${host}.test`,
				lines.map((line) => Buffer.from(line)),
			);
			return (await alone(target, request)).status;
		};
		const forwarded = (...ids: readonly string[]) =>
			`x-forwarded-client-cert: ${ids.map((id) => `URI=${id}`).join(";")}`;
		const alice = `${forwarded(spiffe("alice"))};Hash=${"0".repeat(64)}`;

		t.equal(await ask("proxy", "guarded", alice), 200, "the client that the proxy names");
		t.equal(await ask("proxy", "guarded", `${alice};By=${spiffe("proxy")}`), 200);
		t.equal(await ask("proxy", "guarded", `${alice};By=${spiffe("plain")}`), 403, "a client that another proxy named");
		t.equal(await ask("proxy", "guarded", forwarded(spiffe("mallory"))), 403);
		t.equal(await ask("proxy", "guarded", forwarded(spiffe("eve"))), 403, "forbid wins");
		t.equal(await ask("banned", "guarded", alice), 403, "also that of the proxy itself");
		t.equal(await ask("alice", "guarded"), 200, "a client without a proxy is who it is");
		t.equal(await ask("alice", "guarded", forwarded(spiffe("mallory"))), 200, "its header is ignored");
		for (const [peer, line] of [
			["mallory", alice],
			["plain", alice],
			["mallory", `x-weir-forwarded-cert: URI=${spiffe("alice")}`],
			["proxy", `x-weir-forwarded-cert: URI=${spiffe("alice")}`],
		] as const) {
			t.equal(await ask(peer, "guarded", line), 403, `${peer}: ${line.slice(0, 40)}`);
		}
		t.equal(await ask("proxy", "proxies"), 403, "a request without a client does not get the proxy's own rights");
		t.equal(await ask("proxy", "proxies", alice), 403, "nor are they its client's");
		t.equal(await ask("plain", "proxies"), 200);
		t.equal(await ask("proxy", "proxies", forwarded(spiffe("plain"))), 200);
		for (const line of [
			forwarded(spiffe("alice"), spiffe("eve")),
			`${alice},${alice}`,
			`x-forwarded-client-cert: Subject="CN=x";DNS=alice`,
			forwarded("spiffe://weir.test"),
			forwarded("spiffe://other.test/alice"),
			forwarded("spiffe://weir.test/%61lice"),
			forwarded("https://weir.test/alice"),
			"x-forwarded-client-cert: ",
			`x-forwarded-client-cert: URI="${spiffe("alice")}`,
		]) {
			t.equal(await ask("proxy", "guarded", line), 403, line);
		}
		t.equal(await ask("proxy", "guarded", alice, alice), 403, "two headers are not one");

		t.equal(await ask("proxy", "anyone", alice), 200);
		t.equal(
			await ask("proxy", "anyone", forwarded("spiffe://other.test/alice")),
			403,
			"anyone is anyone of this trust domain",
		);

		const [aliceOwn, proxyOwn] = [
			await tls.ca.issue({ spiffeId: spiffe("alice") }),
			await tls.ca.issue({ spiffeId: spiffe("proxy") }),
		];
		const digestOf = ({ certificate }: typeof aliceOwn, form: "hex" | "base64url") =>
			createHash("sha256").update(new X509Certificate(certificate).raw).digest(form);
		const [alices, proxys] = [digestOf(aliceOwn, "base64url"), digestOf(proxyOwn, "base64url")];
		const hash = digestOf(aliceOwn, "hex");
		const named = (hash: string): string => `${forwarded(spiffe("alice"))};Hash=${hash}`;
		const mallory = await tls.ca.issue({ spiffeId: spiffe("mallory") });
		const through: readonly (readonly [string, typeof aliceOwn, string, string | null, number])[] = [
			["of the client that the proxy names", proxyOwn, alices, named(hash), 200],
			["in capitals", proxyOwn, alices, named(hash.toUpperCase()), 200],
			["of another client's certificate", proxyOwn, alices, named("0".repeat(64)), 401],
			["the proxy sends no certificate", proxyOwn, alices, forwarded(spiffe("alice")), 401],
			["nor half of one", proxyOwn, alices, named(hash.slice(0, 62)), 401],
			["the proxy's own, which is not its client's", proxyOwn, proxys, named(hash), 401],
			["the proxy's own, and no client", proxyOwn, proxys, null, 403],
			["two certificates", proxyOwn, alices, `${named(hash)};Hash=${hash}`, 403],
			["without a proxy", aliceOwn, alices, null, 200],
			["without a proxy only the connection counts", aliceOwn, alices, named("0".repeat(64)), 200],
			["a header from an untrusted client", mallory, alices, named(hash), 401],
		];
		for (const [what, peer, certificate, line, expected] of through) {
			const lines = [`authorization: Bearer ${await bound(certificate)}`, ...(line === null ? [] : [line])];
			const request = rawGet(
				"bound.test",
				lines.map((text) => Buffer.from(text)),
			);
			t.equal((await alone(tls.clientWith(envoy.port(), peer), request)).status, expected, `bound token: ${what}`);
		}

		heads.length = 0;
		t.equal(await ask("proxy", "guarded", alice), 200);
		t.equal(await ask("mallory", "open", alice), 200);
		t.equal(heads.length, 2);
		const word = `x-forwarded-client-cert: By=${spiffe("gateway")};Hash=[0-9a-f]{64};URI=${spiffe("mallory")}\r\n`;
		t.match(heads[1], new RegExp(word), "as Envoy writes it: By is the certificate that it showed the client");
		for (const head of heads) {
			t.notMatch(head, /x-weir-forwarded-cert/i, "it is for the sidecar alone");
			t.notMatch(head, /alice/, "and Envoy's own word replaces the client's, as everywhere");
		}
	});
}

t.test("trusted proxies are refused natively, and at a Gateway without client certificates", async (t) => {
	const native = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "native" });
	t.match(native.problems[0]?.message, /cannot be native: Gateway edge has trusted proxies/);
	const declared = (more: string) =>
		parseResources([
			{
				name: "w.yaml",
				text: `apiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\nspec: {port: 0, ${more}}\n`,
			},
		]).problems;
	const proxies = 'trustedProxies: ["spiffe://weir.test/proxy"]';
	t.match(JSON.stringify(declared(proxies)), /no client shows a certificate/);
	t.match(JSON.stringify(declared('tls: {identity: mesh}, trustedProxies: ["spiffe://weir.test/*"]')), /SPIFFE/);
	t.same(declared(`tls: {identity: mesh}, ${proxies}`), []);
});
