/**
 * Keys of a token issuer that lie in a file, changed while Envoy serves: it verifies natively, and would by itself read
 * the file once. Nothing fails meanwhile.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { askApi, fileOf, temporaryDirectory, weir, weirUp } from "./command.js";

t.setTimeout(240_000);

const ISSUER = "https://id.test";
const makeKey = (kid: string) => ({ kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
type Key = ReturnType<typeof makeKey>;
const jwk = ({ kid }: Key, key: KeyObject) => ({ ...key.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" });
const setOf = (...keys: readonly Key[]) => JSON.stringify({ keys: keys.map((key) => jwk(key, key.publicKey)) });
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Each another one: Envoy keeps tokens that it has verified. */
let made = 0;
function token({ kid, privateKey }: Key): string {
	const now = Math.floor(Date.now() / 1_000);
	const claims = { iss: ISSUER, sub: "alice", aud: "shop", iat: now - 10, exp: now + 600, jti: String(made++) };
	const signed = `${encoded({ alg: "ES256", kid, typ: "JWT" })}.${encoded(claims)}`;
	const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
	return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

t.test("a new key is accepted and a removed one refused, without a restart and without a failed request", async (t) => {
	const directory = await temporaryDirectory(t);
	const upstream = createServer((_, response) => response.end("ok"));
	await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		upstream.closeAllConnections();
		upstream.close();
	});
	const { port } = upstream.address() as AddressInfo;
	const keyFile = `${directory}/keys.json`;
	const write = async (text: string): Promise<void> => {
		await writeFile(`${keyFile}.new`, text);
		await rename(`${keyFile}.new`, keyFile);
	};
	const [first, second] = [makeKey("k1"), makeKey("k2")];
	const services = ["users", "open"].map(
		(name) => `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  ${name === "open" ? "access: open" : "timeout: 10s"}
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${port}}]}]
---
`,
	);
	const file = await fileOf(
		directory,
		"weir.yaml",
		`${services.join("")}apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 0
  tokens: [{issuer: "${ISSUER}", audiences: [shop], jwksFile: ${keyFile}}]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: alice}
spec: {action: allow, services: [users], users: ["${ISSUER}#alice"]}
`,
	);
	const explained = await weir(["explain", "-f", file]);
	t.match(explained.stdout, /Gateway edge: keys of https:\/\/id\.test\n {2}native: .* once/);
	t.match(explained.stdout, /Service users: access\n {2}native/);

	// There is no file yet: nobody is trusted, and all else is served.
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(async () => void (await up.stop()));
	const gateway = new URL(up.ready.gateway);
	const ask = (host: string, key: Key | null, agent: Agent | false = false): Promise<string> =>
		new Promise((resolve) => {
			const headers = { host, ...(key === null ? {} : { authorization: `Bearer ${token(key)}` }) };
			request({ host: gateway.hostname, port: gateway.port, headers, agent }, (response) => {
				response.resume();
				response.once("end", () => resolve(String(response.statusCode)));
			})
				.once("error", (error) => resolve(String(error)))
				.end();
		});
	const until = async (key: Key, status: string): Promise<void> => {
		while ((await ask("users.test", key)) !== status) await pause(50);
	};
	const metrics = async () => (await askApi(`unix:${directory}/data/run/api.sock`, "/metrics")).text;
	t.equal(await ask("users.test", first), "401");
	t.equal(await ask("open.test", null), "200");
	t.match(await metrics(), /^weir_xds_key_files_unusable(\{[^}]*\})? 1$/m);
	await write(setOf(first));
	await until(first, "200");
	t.equal(await ask("users.test", second), "401");

	const agent = new Agent({ keepAlive: true, maxSockets: 4 });
	t.teardown(() => agent.destroy());
	const answers = new Map<string, number>();
	let running = true;
	const traffic = [0, 1, 2, 3].map(async () => {
		while (running) {
			const answer = await ask("open.test", null, agent);
			answers.set(answer, (answers.get(answer) ?? 0) + 1);
			await pause(5);
		}
	});
	await write(setOf(first, second));
	await until(second, "200");
	t.equal(await ask("users.test", first), "200", "both while both are there");
	await write(setOf(second));
	await until(first, "401");
	t.equal(await ask("users.test", second), "200", "the old one is gone, the new one stays");

	await write(JSON.stringify({ keys: [jwk(second, second.privateKey), jwk(first, first.privateKey)] }));
	while (!/^weir_xds_key_files_unusable(\{[^}]*\})? 1$/m.test(await metrics())) await pause(100);
	t.equal(await ask("users.test", second), "200", "the last good keys serve on");
	t.equal(await ask("users.test", first), "401", "and no other");
	await write(setOf(first));
	await until(first, "200");
	running = false;
	await Promise.all(traffic);
	t.same([...answers.keys()], ["200"], "no request failed");
	t.notMatch(up.log(), String(jwk(second, second.privateKey).d), "no key in a log");
	t.match(up.log(), /a file of keys is not usable/);
});
