/**
 * A token with a key that its issuer's address has served only since the last fetch: control asks the address again, 30 s after that
 * fetch at the soonest and long before the set is due. test/cli/roles/issuerRotation.test.ts has it with a moved clock, without `weir up`.
 */
import { once } from "node:events";
import { createServer as createIssuer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { startBackend } from "../cli/backend.js";
import { fileOf, temporaryDirectory, weirUp } from "../cli/command.js";
import { gatewayText, policyText, serviceText } from "../cli/documents.js";
import { answerOf } from "../fixtures/answerOf.js";
import { createDevelopmentCa } from "../trust/identity/developmentCa.js";
import { AUDIENCE, ISSUER, jwksBytes, keyPair, publicJwk, signed } from "../trust/tokens/issuer.js";

t.test("weir up asks an issuer's address for an unknown key", { timeout: 120_000 }, async (t) => {
	const directory = await temporaryDirectory(t);
	const [first, second] = [await keyPair(), await keyPair()];
	const [k1, k2] = [await publicJwk(first, { kid: "k1" }), await publicJwk(second, { kid: "k2" })];
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const caFile = await fileOf(directory, "ca.pem", ca.certificate);
	let keys = [k1];
	const issuer = createIssuer({ cert: own.certificate, key: own.privateKey }, (_, response) =>
		response.end(jwksBytes(keys)),
	);
	await once(issuer.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		issuer.closeAllConnections();
		issuer.close();
	});
	const url = `https://localhost:${(issuer.address() as AddressInfo).port}/keys`;
	const tokens = `{issuer: "${ISSUER}", audiences: ["${AUDIENCE}"], jwksUrl: "${url}", jwksCaFile: ${caFile}}`;
	const file = await fileOf(
		directory,
		"weir.yaml",
		[
			serviceText("users", [await startBackend(t)]),
			gatewayText(`port: 0, tokens: [${tokens}]`),
			policyText("ann", "users", `users: ["${ISSUER}#ann"]`),
		].join("---\n"),
	);
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(async () => void (await up.stop()));
	const { port } = new URL(up.ready.gateway);
	const iat = Math.floor(Date.now() / 1_000);
	const claims = { iss: ISSUER, aud: AUDIENCE, sub: "ann", iat, exp: iat + 600 };
	const until200 = async (token: string): Promise<void> => {
		const headers = { host: "users.test", authorization: `Bearer ${token}` };
		while ((await answerOf({ port, headers })).status !== 200) await pause(250);
	};
	await until200(await signed(claims, first, { kid: "k1" }));
	keys = [k1, k2];
	await until200(await signed(claims, second, { kid: "k2" }));
});
