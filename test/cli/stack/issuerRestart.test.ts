/**
 * xds and the sidecar restart while an issuer is slow, before a real Envoy: valid tokens pass. While it is down none does, with an
 * alarm.
 */

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { createServer as createIssuer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { answerOf } from "../../fixtures/answerOf.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { AUDIENCE, ISSUER, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { startBackend } from "../backend.js";
import { fileOf, temporaryDirectory, weir, weirUp } from "../command.js";
import { gatewayText, policyText, serviceText } from "../documents.js";

t.setTimeout(240_000);

t.test("a restart while the issuer is down keeps serving known keys; without keys tokens are refused", async (t) => {
	const directory = await temporaryDirectory(t);
	const backend = await startBackend(t);
	const pair = await keyPair();
	const keys = jwksBytes([await publicJwk(pair, { kid: "k1" })]);
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const caFile = await fileOf(directory, "ca.pem", ca.certificate);
	const answers: Readonly<Record<string, RequestListener>> = {
		well: (_, response) => void response.end(keys),
		slow: (_, response) => void setTimeout(() => response.end(keys), 2_500),
		down: (_, response) => void response.writeHead(500).end(),
	};
	let how = "well";
	let asks = 0;
	const issuer = createIssuer({ cert: own.certificate, key: own.privateKey }, (question, response) => {
		asks++;
		answers[how]?.(question, response);
	});
	await once(issuer.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		issuer.closeAllConnections();
		issuer.close();
	});
	const services = [
		serviceText("native", [backend], "timeout: 10s"),
		serviceText("asked", [backend], "callout: {access: sidecar, timeout: 2s}"),
	];
	const url = `https://localhost:${(issuer.address() as AddressInfo).port}/keys`;
	const file = await fileOf(
		directory,
		"weir.yaml",
		[
			...services,
			gatewayText(
				`port: 0, tokens: [{issuer: "${ISSUER}", audiences: ["${AUDIENCE}"], jwksUrl: "${url}", jwksCaFile: ${caFile}}]`,
			),
			policyText("ann", "native, asked", `users: ["${ISSUER}#ann"]`),
		].join("---\n"),
	);
	const data = `${directory}/data`;
	const up = await weirUp(file, data);
	t.teardown(async () => void (await up.stop()));
	const gateway = new URL(up.ready.gateway);
	const seconds = Math.floor(Date.now() / 1_000);
	/** A new token each time: Envoy and the sidecar cache what they have verified. */
	let made = 0;
	const token = () =>
		signed({ iss: ISSUER, aud: AUDIENCE, sub: "ann", iat: seconds, exp: seconds + 3_000, jti: `${made++}` }, pair);
	const ask = async (name: string): Promise<number> => {
		// So many tokens of one user are verified in a second.
		await pause(40);
		const headers = { host: `${name}.test`, authorization: `Bearer ${await token()}` };
		return (await answerOf({ port: gateway.port, headers })).status;
	};
	const until = async (name: string, status: number): Promise<void> => {
		while ((await ask(name)) !== status) await pause(50);
	};
	/** The process of the stack with that command; a new one after it has been killed. */
	const processOf = (what: string): number =>
		execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(up.child.pid)], { encoding: "utf8" })
			.split("\n")
			.flatMap((line) => (line.includes(what) ? Number(line.trim().split(" ")[0]) : []))[0] ?? 0;
	/** @returns statuses of requests until the successor has asked the issuer and had time to publish. */
	const killed = async (what: string, name: string, aheadMs = 3_500): Promise<readonly number[]> => {
		const seen = new Set<number>();
		const before = asks;
		process.kill(processOf(what), "SIGKILL");
		while (asks === before) seen.add(await ask(name));
		const endMs = Date.now() + aheadMs;
		while (Date.now() < endMs) seen.add(await ask(name));
		return [...seen].sort();
	};
	for (const name of ["native", "asked"]) await until(name, 200);

	how = "slow";
	t.same(await killed("main.js control", "native"), [200], "Envoy keeps what it has while the issuer answers");
	how = "down";
	process.kill(processOf("main.js control"), "SIGKILL");
	await until("native", 401);
	t.pass("without stored keys no token is trusted until the issuer answers");
	const alarm = (await weir(["status", "--api", up.ready.api])).stdout;
	t.match(alarm, /ALARM no-issuer-keys at Gateway edge: control has no key of https:\/\/issuer.test/);
	await until("asked", 200);
	process.kill(processOf(" sidecar --data"), "SIGKILL");
	await until("asked", 401);
	const status = async () => String((await weir(["status", "--api", up.ready.api])).stdout);
	while (!/ALARM no-sidecar-keys at Gateway edge: tokens are refused/.test(await status())) await ask("asked");
	t.pass("the sidecar's alarm names the refusals");
	const hung = processOf(" sidecar --data");
	process.kill(hung, "SIGSTOP");
	await until("asked", 503);
	process.kill(hung, "SIGCONT");
	while (!/ALARM verdicts-unanswered at Gateway edge: requests get 503/.test(await status())) await pause(100);
	t.pass("an alarm names the requests without a verdict");
	how = "well";
	const since = Date.now();
	await until("native", 200);
	t.ok(Date.now() - since < 15_000, "an issuer that is back is believed soon");
	await until("asked", 200);
});
