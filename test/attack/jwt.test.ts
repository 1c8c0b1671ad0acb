/** The JWT matrix against Envoy's jwt_authn and the sidecar's verifier: both refuse every wrong token. */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import t from "tap";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { readKeySet } from "../../src/trust/tokens/keySet.js";
import { publishedKeySet } from "../../src/trust/tokens/publishedKeys.js";
import { type MutualTls, spiffe } from "../compile/access/mutualTls.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";
import { attackScene, FORMS } from "./scene.js";
import { AUDIENCE, badTokens, GOOD, ISSUER, KEY_SET, valid } from "./tokens.js";
import { exchange, get } from "./wire.js";

const keysFile = (tls: MutualTls): string => join(dirname(tls.gateway.certificateFile), "keys.json");

function never(): never {
	throw new Error("the issuer's keys are no set");
}

/** What an issuer's address answers that is out of order. */
const BROKEN = ["error", "garbage", "empty", "redirect", "hang", "reset", "foreign", "endless"] as const;
const brokenIssuer = (kind: string): string => `https://${kind}.test`;

function resources(port: number, tls: MutualTls, keysPort: number): ResourceSet {
	const broken = BROKEN.map((kind) => ({
		...tokenIssuer(brokenIssuer(kind), [AUDIENCE], ""),
		keys: { from: "url", url: `https://localhost:${keysPort}/${kind}`, caFile: tls.gateway.clientCaFile } as const,
	}));
	return resourceSet({
		gateways: [gateway({ tls: tls.gateway, tokens: [tokenIssuer(ISSUER, [AUDIENCE], keysFile(tls)), ...broken] })],
		services: [service("users", [variant("v1", port)], { access: null, callout: PATIENT })],
		accessPolicies: [
			accessPolicy("alice", "allow", ["users"], {
				principals: [spiffe("web")],
				users: [ISSUER, ...BROKEN.map(brokenIssuer)].map((issuer) => `${issuer}#alice`),
			}),
		],
	});
}

async function brokenKeys(t: {
	teardown(run: () => void): unknown;
}): Promise<{ port: number; use(tls: MutualTls): Promise<void> }> {
	const server = createServer({}, ({ url }, response) => {
		switch (url?.slice(1)) {
			case "error":
				return response.writeHead(500).end(KEY_SET);
			case "garbage":
				return response.end("<html>");
			case "empty":
				return response.end('{"keys":[]}');
			case "redirect":
				return response.writeHead(302, { location: "/good" }).end();
			case "reset":
				return response.destroy();
			case "foreign":
				return response.end(KEY_SET.replaceAll('"kid":"ec"', '"kid":"other"'));
			case "endless":
				response.writeHead(200);
				return response.write(`{"keys":[${" ".repeat(2_000_000)}`);
			case "good":
				return response.end(KEY_SET);
			default:
				return;
		}
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return {
		port: (server.address() as AddressInfo).port,
		async use(tls) {
			const own = await tls.ca.issue({ spiffeId: spiffe("keys"), dnsNames: ["localhost"] });
			server.setSecureContext({ cert: own.certificate, key: own.privateKey });
		},
	};
}

t.setTimeout(180_000);
// Most of the time is waiting.
t.jobs = 3;

for (const form of Object.keys(FORMS)) {
	t.test(form, { timeout: 120_000 }, async (t) => {
		const keys = await brokenKeys(t);
		const scene = await attackScene(
			t,
			form,
			(port, tls) => resources(port, tls, keys.port),
			undefined,
			async (tls) => {
				await writeFile(keysFile(tls), KEY_SET);
				await keys.use(tls);
				return { keySets: { [keysFile(tls)]: publishedKeySet(readKeySet(Buffer.from(KEY_SET)) ?? never()) } };
			},
		);
		const ask = async (authorization: string | null, more: readonly string[] = [], path = "/") => {
			const lines = authorization === null ? more : [`Authorization: ${authorization}`, ...more];
			return (await exchange(await scene.as("web"), get("users.test", path, lines))).statuses[0] ?? 0;
		};
		for (const [name, make] of Object.entries(GOOD)) t.equal(await ask(`Bearer ${make()}`), 200, `a good one, ${name}`);
		t.equal(scene.upstream.take().length, Object.keys(GOOD).length);
		for (const [id, what, authorization] of badTokens()) {
			t.test(`${id}: ${what}`, async (t) => {
				const status = await ask(authorization);
				t.ok([400, 401, 403].includes(status), `answered ${status}`);
				t.same(scene.upstream.take(), [], "nothing reached the upstream");
			});
		}
		t.test("T-place: a token outside of the Authorization header is ignored", async (t) => {
			const good = valid();
			t.equal(await ask(null), 403);
			t.equal(await ask(null, [], `/?access_token=${good}`), 403, "in the query");
			t.equal(await ask(null, [`Cookie: access_token=${good}`]), 403, "in a cookie");
			t.equal(await ask(null, [`X-Authorization: Bearer ${good}`]), 403, "in another header");
			t.equal(await ask(null, [`Proxy-Authorization: Bearer ${good}`]), 403);
			t.equal(await ask(good), 403, "without its scheme");
			t.equal(await ask("Basic YWxpY2U6eA=="), 403, "another credential is the Service's own business");
			t.same(scene.upstream.take(), []);
		});
		t.test("T-other: a valid token of another user is denied", async (t) => {
			for (const sub of ["bob", "Alice", "alice ", "alice#", ""])
				t.equal(await ask(`Bearer ${valid({ sub })}`), 403, JSON.stringify(sub));
			t.same(scene.upstream.take(), []);
		});
		t.test("T-two-tokens: two headers with valid tokens are refused", async (t) => {
			t.equal(await ask(`Bearer ${valid()}`, [`Authorization: Bearer ${valid({ sub: "bob" })}`]), 403);
			t.same(scene.upstream.take(), []);
		});
		// At once: those that never end are waited for.
		const tried = await Promise.all(BROKEN.map((kind) => ask(`Bearer ${valid({ iss: brokenIssuer(kind) })}`)));
		for (const [index, kind] of BROKEN.entries()) {
			t.test(`CVE-2026-31837: the issuer's keys are unavailable (${kind})`, async (t) => {
				t.ok([401, 403, 429, 503].includes(tried[index] ?? 0), `answered ${tried[index]}`);
			});
		}
		t.same(scene.upstream.take(), [], "no token of theirs was believed");
		t.test("CVE-2024-45809, CVE-2025-64527: clients that disconnect while keys are fetched", async (t) => {
			for (let index = 0; index < 20; index++) {
				const socket = await scene.as("web");
				await new Promise<void>((resolve) =>
					socket.write(
						get("users.test", "/", [`Authorization: Bearer ${valid({ iss: brokenIssuer("hang"), jti: `${index}` })}`]),
						() => resolve(),
					),
				);
				socket.destroy();
			}
			t.equal(await ask(`Bearer ${valid()}`), 200, "others are served");
			t.equal((await scene.envoy.admin("/ready")).trim(), "LIVE");
			scene.upstream.take();
		});
	});
}
