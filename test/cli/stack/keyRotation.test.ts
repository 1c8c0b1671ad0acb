/**
 * Keys of token issuers, in a file and at an address, change while Envoy serves. Envoy alone would read the file once and never
 * ask the address again. No request fails. test/long/unknownKey.test.ts has a key that the address serves later.
 */

import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { createServer as createIssuer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { answerOf } from "../../fixtures/answerOf.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { startBackend } from "../backend.js";
import { askApi, fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { policyText, serviceText } from "../documents.js";

t.setTimeout(240_000);

const ISSUER = "https://id.test";
const FAR = "https://far.test";
const makeKey = (kid: string) => ({ kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
type Key = ReturnType<typeof makeKey>;
const jwk = ({ kid }: Key, key: KeyObject) => ({ ...key.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" });
const setOf = (...keys: readonly Key[]) => JSON.stringify({ keys: keys.map((key) => jwk(key, key.publicKey)) });
/** A key set with one unusable key: no modulus and no exponent. */
const NO_KEY = JSON.stringify({ keys: [{ kty: "RSA", kid: "new" }] });
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A new token each time: Envoy caches verified tokens. */
let made = 0;
function token({ kid, privateKey }: Key, iss = ISSUER): string {
	const now = Math.floor(Date.now() / 1_000);
	const claims = { iss, sub: "alice", aud: "shop", iat: now - 10, exp: now + 600, jti: String(made++) };
	const signed = `${encoded({ alg: "ES256", kid, typ: "JWT" })}.${encoded(claims)}`;
	const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
	return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

t.test("a new key is accepted and a removed one refused, without a restart or a failed request", async (t) => {
	const directory = await temporaryDirectory(t);
	const port = await startBackend(t);
	const keyFile = `${directory}/keys.json`;
	const write = async (text: string): Promise<void> => {
		await writeFile(`${keyFile}.new`, text);
		await rename(`${keyFile}.new`, keyFile);
	};
	const [first, second, third] = [makeKey("k1"), makeKey("k2"), makeKey("k3")];
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const caFile = await fileOf(directory, "ca.pem", ca.certificate);
	/** What the address answers; null = an error. */
	let far: string | null = null;
	const issuer = createIssuer({ cert: own.certificate, key: own.privateKey }, (_, response) =>
		response.writeHead(far === null ? 500 : 200).end(far ?? ""),
	);
	await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		issuer.closeAllConnections();
		issuer.close();
	});
	const farUrl = `https://localhost:${(issuer.address() as AddressInfo).port}/keys`;
	const services = [serviceText("users", [port], "timeout: 10s"), serviceText("open", [port], "access: open")];
	const file = await fileOf(
		directory,
		"weir.yaml",
		`${services.join("---\n")}---
apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 0
  tokens:
    - {issuer: "${ISSUER}", audiences: [shop], jwksFile: ${keyFile}}
    - {issuer: "${FAR}", audiences: [shop], jwksUrl: "${farUrl}", jwksCaFile: ${caFile}}
---
${policyText("alice", "users", `users: ["${ISSUER}#alice", "${FAR}#alice"]`)}`,
	);
	const explained = await weir(["explain", "-f", file]);
	t.match(explained.stdout, /Gateway edge: keys of https:\/\/id\.test\n {2}control watches .* once/);
	t.match(
		explained.stdout,
		/keys of https:\/\/far\.test\n {2}control fetches .* every 10 minutes .* sooner for an unknown key/,
	);
	t.match(explained.stdout, /Service users: access\n {2}native/);

	// Without a usable key no token is trusted, and all else is served.
	await write(NO_KEY);
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(async () => void (await up.stop()));
	const gateway = new URL(up.ready.gateway);
	const ask = (host: string, key: Key | null, agent: Agent | false = false, iss?: string): Promise<string> => {
		const headers = { host, ...(key === null ? {} : { authorization: `Bearer ${token(key, iss)}` }) };
		return answerOf({ port: gateway.port, headers, agent }).then(({ status }) => String(status), String);
	};
	const until = async (key: Key, status: string, iss?: string): Promise<void> => {
		while ((await ask("users.test", key, false, iss)) !== status) await pause(250);
	};
	const metrics = async () => (await askApi(`unix:${directory}/data/run/api.sock`, "/metrics")).text;
	t.equal(await ask("users.test", first), "401");
	t.equal(await ask("open.test", null), "200");
	t.match(await metrics(), /^weir_xds_issuer_keys_unusable(\{[^}]*\})? 2$/m);
	t.equal(await ask("users.test", third, false, FAR), "401", "an address that fails verifies no token");
	far = setOf(third);
	await write(setOf(first));
	await until(first, "200");
	await until(third, "200", FAR);
	t.equal(await ask("users.test", second), "401");

	const agent = new Agent({ keepAlive: true, maxSockets: 4 });
	t.teardown(() => agent.destroy());
	const answers = new Map<string, number>();
	let running = true;
	const traffic = [0, 1, 2, 3].map(async () => {
		while (running) {
			const answer = await ask("open.test", null, agent);
			answers.set(answer, (answers.get(answer) ?? 0) + 1);
			await pause(100);
		}
	});
	await write(setOf(first, second));
	await until(second, "200");
	t.equal(await ask("users.test", first), "200", "both while both are there");
	await write(setOf(second));
	await until(first, "401");
	t.equal(await ask("users.test", second), "200", "the old one is gone, the new one stays");

	const since = Date.now();
	await write(NO_KEY);
	await until(second, "401");
	t.ok(Date.now() - since < 20_000, "a key that is replaced by one that Envoy cannot use is gone all the same");
	t.equal(await ask("users.test", first), "401");
	t.match(await metrics(), /^weir_xds_issuer_keys_unusable(\{[^}]*\})? 1$/m);
	t.match(await metrics(), /^weir_xds_issuer_keys_left_out(\{[^}]*\})? 1$/m);
	await write(setOf(second));
	await until(second, "200");

	await write("garbage");
	while (!/^weir_xds_issuer_keys_unusable(\{[^}]*\})? 1$/m.test(await metrics())) await pause(100);
	t.equal(await ask("users.test", second), "200", "the last good keys stay in use");
	t.equal(await ask("users.test", first), "401", "and no other");
	await write(JSON.stringify({ keys: [jwk(second, second.privateKey), jwk(first, first.privateKey)] }));
	await until(second, "401");
	t.equal(await ask("users.test", first), "401", "a private key verifies no token");
	await write(setOf(first));
	await until(first, "200");
	running = false;
	await Promise.all(traffic);
	t.same([...answers.keys()], ["200"], "no request failed");
	t.notMatch(up.log(), String(jwk(second, second.privateKey).d), "no key in a log");
	t.match(up.log(), /keys of the token issuer are unavailable/);
	t.match(up.log(), /keys of the token issuer cannot be used.*key 1: its n or e is no number/);
});
