/**
 * End users on a real Envoy with our own configuration, by ext_authz and by ext_proc: tokens, proofs of possession,
 * certificates and signed decisions, from the client's bytes to the upstream's.
 */
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { DecisionVerifier, decisionSigner } from "../../../src/trust/tokens/decision.js";
import { TokenVerifier } from "../../../src/trust/tokens/verifier.js";
import { mutualTls, spiffe } from "../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, pipelined, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { PROTOCOLS } from "../../failure/stage.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import {
	AUDIENCE,
	ISSUER,
	issuerOf,
	jwksBytes,
	keyPair,
	proofOf,
	publicJwk,
	signed,
} from "../../trust/tokens/issuer.js";
import { startSidecar } from "./rig.js";

t.setTimeout(120_000);

const directory = await mkdtemp(join(tmpdir(), "weir-users-"));
t.teardown(() => rm(directory, { recursive: true, force: true }));
const tls = await mutualTls(t);
const upstream = await startVariantServer("v1");
t.teardown(() => upstream.close());
const [pair, holder] = [await keyPair(), await keyPair()];
const file = join(directory, "keys.json");
await writeFile(file, jwksBytes([await publicJwk(pair, { kid: "k1" })]));
const issuers = [
	issuerOf({ keys: { from: "file", file } }),
	issuerOf({ issuer: `${ISSUER}/bound`, keys: { from: "file", file }, binding: "either" }),
];
const callout = { ...PATIENT, access: "sidecar" } as const;
const on = [variant("v1", upstream.port)];
const resources = resourceSet({
	gateways: [gateway({ tls: tls.gateway, tokens: issuers }, "edge"), gateway({ tokens: issuers.slice(0, 1) }, "plain")],
	services: [
		service("users", on, { access: null, callout }),
		service("mesh", on, { access: null, callout }),
		service("signed", on, { access: null, callout: { ...callout, sign: true } }),
	],
	accessPolicies: [
		accessPolicy("doctors", "allow", ["users"], { groups: ["doctors"] }),
		accessPolicy("web", "allow", ["mesh", "signed"], { principals: [spiffe("web")] }),
	],
});

const own = await tls.ca.issue({ spiffeId: spiffe("web") });
const thumbprint = createHash("sha256").update(new X509Certificate(own.certificate).raw).digest("base64url");
const sidecarId = await tls.ca.issue({ spiffeId: spiffe("weir/sidecar") });
const now = (): number => Math.floor(Date.now() / 1_000);
const claims = (more: object = {}) => ({
	iss: ISSUER,
	aud: AUDIENCE,
	sub: "ann",
	iat: now(),
	exp: now() + 600,
	groups: ["doctors"],
	...more,
});
const bound = (cnf: object) => signed(claims({ iss: `${ISSUER}/bound`, cnf }), pair);

for (const protocol of PROTOCOLS) {
	t.test(`end users are verified and authorised by ${protocol}`, async (t) => {
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, protocol });
		const verifier = new TokenVerifier();
		verifier.use(plan.table.gateways);
		const sidecar = await startSidecar(t, plan, {
			nowMs: Date.now,
			verifyToken: verifier.verify,
			sign: decisionSigner(() => sidecarId),
		});
		const envoy = await startEnvoy(t, bootstrapOf(plan, NO_COLLECTORS, sidecar.socketPath));
		const client = tls.clientWith(envoy.port("edge"), own);
		const ask = (host: string, lines: readonly string[] = [], path = "/v2", method = "GET") =>
			alone(
				client,
				rawGet(
					`${host}.test`,
					lines.map((line) => Buffer.from(line)),
					path,
					method,
				),
			);
		const status = async (...lines: readonly string[]): Promise<number> => (await ask("users", lines)).status;

		const good = await signed(claims(), pair);
		t.equal(await status(`authorization: Bearer ${good}`), 200, "first");
		t.equal(await status(`authorization: Bearer ${good}`), 200, "known");
		t.equal(await status(), 403, "without a token");
		t.equal(await status(`authorization: Bearer ${await signed(claims({ groups: ["nurses"] }), pair)}`), 403);
		const before = upstream.requests();
		const refused = await ask("users", [`authorization: Bearer ${good}x`]);
		t.equal(refused.status, 401);
		const challenge = 'Bearer error="invalid_token"';
		const either = `${challenge}, DPoP error="invalid_token"`;
		t.same(headerValues(refused, "www-authenticate"), [either], "one issuer here takes bound tokens");
		const elsewhere = await alone(
			envoy.port("plain"),
			rawGet("users.test", [Buffer.from("authorization: Bearer x")], "/v2"),
		);
		t.equal(elsewhere.status, 401);
		t.same(headerValues(elsewhere, "www-authenticate"), [challenge], "as Envoy sends it without a sidecar");
		t.equal(await status(`authorization: Bearer ${await signed(claims({ exp: now() - 61 }), pair)}`), 401);
		t.equal(await status(`authorization: bearer ${good}`), 401);
		t.equal(await status(`authorization: Bearer ${good}`, `authorization: Bearer ${good}`), 403, "two headers");
		t.equal(upstream.requests(), before, "nothing of it has reached the upstream");
		t.equal((await ask("mesh", ["authorization: Bearer x"])).status, 200, "without rules about users");

		const toKey = await bound({ jkt: await calculateJwkThumbprint(await publicJwk(holder)) });
		const proof = (htu: string) => proofOf(holder, toKey, { claims: { iat: now(), htu } });
		const shown = await proof("https://users.test/v2");
		t.equal(await status(`authorization: DPoP ${toKey}`, `dpop: ${shown}`), 200, "DPoP");
		const replayed = await ask("users", [`authorization: DPoP ${toKey}`, `dpop: ${shown}`]);
		t.equal(replayed.status, 401, "a proof is used once");
		t.same(
			headerValues(replayed, "www-authenticate"),
			['DPoP error="invalid_dpop_proof", algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"'],
			"the error that makes a client send another proof",
		);
		t.equal(await status(`authorization: DPoP ${toKey}`), 401);
		const stolen = await proofOf(pair, toKey, { claims: { iat: now(), htu: "https://users.test/v2" } });
		const other = await ask("users", [`authorization: DPoP ${toKey}`, `dpop: ${stolen}`]);
		t.same(headerValues(other, "www-authenticate"), [either], "another proof by that key does not help");
		t.equal(await status(`authorization: DPoP ${toKey}`, `dpop: ${await proof("https://users.test/other")}`), 401);
		t.equal(await status(`authorization: Bearer ${toKey}`), 401);
		t.equal(await status(`authorization: Bearer ${await bound({ "x5t#S256": thumbprint })}`), 200, "by certificate");
		const another = Buffer.alloc(32).toString("base64url");
		t.equal(await status(`authorization: Bearer ${await bound({ "x5t#S256": another })}`), 401);

		const users = await Promise.all(Array.from({ length: 64 }, (_, n) => signed(claims({ sub: `user-${n}` }), pair)));
		const requests = Array.from({ length: 640 }, (_, n) =>
			rawGet("users.test", [Buffer.from(`authorization: Bearer ${users[n % 64]}`)], "/v2"),
		);
		const answers = await pipelined(client, requests, { connections: 32, window: 1 });
		// A busy machine sheds requests (503); a retry is answered.
		const shed = requests.filter((_, at) => answers[at]?.status === 503);
		const again = await pipelined(client, shed, { connections: 2, window: 1 });
		const others = [...answers.filter(({ status }) => status !== 503), ...again].filter(({ status }) => status !== 200);
		t.same(
			others.map(({ status, body }) => `${status} ${body}`),
			[],
			"many new users at once",
		);

		t.equal((await ask("mesh", [], "/.well-known/weir-probe", "OPTIONS")).status, 403, "the probe");

		const decisions = new DecisionVerifier({
			trustBundle: () => tls.ca.certificate,
			admits: (id) => id === spiffe("weir/sidecar"),
		});
		const signedAnswer = await ask("signed", ["x-weir-decision: forged"], "/v2/x?a=1");
		t.equal(signedAnswer.status, 200);
		const heads = upstream
			.lastHead()
			.split("\r\n")
			.filter((line) => line.toLowerCase().startsWith("x-weir-decision:"));
		const values = heads.map((line) => line.slice(line.indexOf(":") + 1).trim());
		t.match(
			decisions.verify(values, {
				method: "GET",
				path: "/v2/x?a=1",
				host: "signed.test",
				service: "signed",
				variant: "v1",
			}),
			{ signer: spiffe("weir/sidecar"), principal: spiffe("web") },
		);
		t.equal((await ask("mesh", ["x-weir-decision: forged"])).status, 200);
		t.notMatch(upstream.lastHead(), /x-weir-decision/i, "a client's own never arrives");
	});
}
