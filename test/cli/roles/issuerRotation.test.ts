/**
 * An issuer's address: control fetches its keys for a real Envoy, whose access log reports unknown ones; keys that fail for too
 * long verify nothing. The sidecar's verifier judges the same tokens.
 */

import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer as createIssuer } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { JWK } from "jose";
import t from "tap";
import { IssuerKeys } from "../../../src/cli/roles/issuerKeys.js";
import { UnknownKeysReader } from "../../../src/cli/roles/unknownKeys.js";
import { compile } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { ingestClient } from "../../../src/observe/events/client.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { TokenVerifier } from "../../../src/trust/tokens/verifier.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { startRig } from "../../observe/events/rig.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { AUDIENCE, asked, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { temporaryDirectory } from "../command.js";

t.setTimeout(120_000);

const TIMES = { fresh: 600_000, stale: 3_600_000, cooldown: 30_000 };
const [first, second] = [await keyPair(), await keyPair()];
const [k1, k2] = [await publicJwk(first, { kid: "k1" }), await publicJwk(second, { kid: "k2" })];
const seconds = Math.floor(Date.now() / 1_000);
const claims = { iss: ISSUER, aud: AUDIENCE, sub: "ann", iat: seconds - 10, exp: seconds + 600 };
const byFirst = await signed(claims, first);
const bySecond = await signed(claims, second, { kid: "k2" });

t.test("rotation, removal, failure beyond the bound and recovery reach Envoy and the sidecar", async (t) => {
	const directory = await temporaryDirectory(t);
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const caFile = `${directory}/ca.pem`;
	await writeFile(caFile, ca.certificate);
	const serving =
		(...keys: readonly JWK[]): RequestListener =>
		(_, response) =>
			void response.end(jwksBytes(keys));
	let answer = serving(k1);
	let asks = 0;
	const issuer = createIssuer({ cert: own.certificate, key: own.privateKey }, (question, response) => {
		asks++;
		answer(question, response);
	});
	await once(issuer.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		issuer.closeAllConnections();
		issuer.close();
	});
	const keys = {
		from: "url",
		url: `https://localhost:${(issuer.address() as AddressInfo).port}/keys`,
		caFile,
	} as const;
	const declared = issuerOf({ keys });

	const rig = await startRig();
	// A real Envoy's entries have the wall clock's time.
	rig.nowMs = Date.now();
	t.teardown(() => rig.close());
	const [upstream] = await startVariants(t, 1);
	const resources = resourceSet({
		gateways: [gateway({ tokens: [declared] })],
		services: [service("users", [variant("v1", upstream?.port ?? 0)], { access: null })],
		accessPolicies: [accessPolicy("ann", "allow", ["users"], { users: [`${ISSUER}#ann`] })],
	});
	let nowMs = 0;
	const monotonicMs = (): number => nowMs;
	const sidecar = new TokenVerifier({ monotonicMs, times: TIMES });
	sidecar.use([{ name: "gw", issuers: [declared] }]);
	const log = { warn: () => {}, info: () => {} };
	const issuerKeys = new IssuerKeys({ log, meter: rig.meter, monotonicMs, times: () => TIMES });
	const server = new XdsServer();
	t.teardown(() => server.close());
	const socketPath = `${directory}/ads.sock`;
	await server.listen({ socketPath });
	const collectors = { accessLogSocket: rig.accessLogSocket, tracesSocket: null, traceSamplingPercent: 0 };
	let published = "";
	/** The step that xds takes every two seconds. */
	const look = async (): Promise<void> => {
		const keySets = await issuerKeys.read(resources);
		if (JSON.stringify(keySets) === published) return;
		published = JSON.stringify(keySets);
		server.publish(compile(resources, EMPTY_STATUS, { collectors, keySets }), 1);
	};
	const unknown = new UnknownKeysReader(ingestClient(rig.httpSocket), (name) => issuerKeys.unknownKey(name));
	await look();
	const envoy = await startEnvoy(t, (adminSocket) =>
		dynamicBootstrap(socketPath, { collectors, nodeId: "envoy-1", adminSocket }),
	);
	const native = async (token: string): Promise<number> => {
		const headers = { host: "users.test", authorization: `Bearer ${token}` };
		return (await answerOf({ port: envoy.port(), headers })).status;
	};
	const bySidecar = async (token: string): Promise<number> => {
		const verified = await sidecar.verify(asked(token));
		return verified !== null && "token" in verified ? 200 : 401;
	};
	/** Waits until both judge the token so; control looks meanwhile. */
	const both = async (token: string, status: number): Promise<void> => {
		while ((await native(token)) !== status || (await bySidecar(token)) !== status) {
			await unknown.look();
			await look();
			await pause(20);
		}
	};
	t.notMatch(await envoy.admin("/config_dump"), /remote_jwks|weir_keys/, "Envoy fetches no keys");

	await both(byFirst, 200);
	answer = serving(k1, k2);
	const before = asks;
	t.equal(await native(bySecond), 401);
	for (let round = 0; round < 20; round++) {
		t.equal(await native(bySecond), 401);
		await unknown.look();
		await look();
	}
	t.equal(await bySidecar(bySecond), 401);
	t.equal(asks, before, "within the pause unknown keys cause no fetch");
	nowMs += 30_001;
	await both(bySecond, 200);
	t.equal(asks, before + 2, "control once, the sidecar once");
	await both(byFirst, 200);

	answer = serving(k2);
	nowMs += 600_001;
	await both(byFirst, 401);
	t.equal(await native(bySecond), 200, "the very token that Envoy has verified before stops, the other goes on");

	const hang: RequestListener = () => {};
	for (const [name, wrong] of [
		["down", (_, response) => void response.destroy()],
		["slow", hang],
		["garbage", (_, response) => void response.end("<html>")],
		["an error", (_, response) => void response.writeHead(500).end(jwksBytes([k2]))],
		["elsewhere", (_, response) => void response.writeHead(302, { location: keys.url }).end()],
	] as const satisfies readonly (readonly [string, RequestListener])[]) {
		answer = wrong;
		nowMs += 600_001;
		await look();
		t.equal(await native(bySecond), 200, `${name}: what was good serves`);
		t.equal(await bySidecar(bySecond), 200);
		nowMs += 3_000_000;
		await both(bySecond, 401);
		t.pass(`${name}: but not for ever`);
		issuer.closeAllConnections();
		answer = serving(k2);
		while (true) {
			nowMs += 30_001;
			await look();
			await bySidecar(bySecond);
			if ((await native(bySecond)) === 200 && (await bySidecar(bySecond)) === 200) break;
			await pause(20);
		}
		t.pass(`${name}: and good again`);
	}
	answer = serving();
	nowMs += 600_001;
	await both(bySecond, 401);
	t.pass("an empty set is accepted: no key verifies a token");
	answer = serving(k2);
	nowMs += 30_001;
	await both(bySecond, 200);
	t.equal(await native(byFirst), 401);
});
