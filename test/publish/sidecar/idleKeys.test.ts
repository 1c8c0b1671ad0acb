/** `weir sidecar` without requests still refreshes its issuers' keys, and refuses the first token by a removed key. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { temporaryDirectory } from "../../cli/command.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { CLAIMS, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { checkClient } from "./checkClient.js";

t.setTimeout(60_000);

t.test("a key removed from its file is refused without earlier requests", async (t) => {
	const pair = await keyPair();
	const data = join(await temporaryDirectory(t), "data");
	await mkdir(data, { mode: 0o700 });
	const file = join(data, "keys.json");
	const set = jwksBytes([await publicJwk(pair, { kid: "k1" })]);
	await writeFile(file, set);
	const { version, table } = compile(
		resourceSet({
			gateways: [gateway({ tokens: [issuerOf({ keys: { from: "file", file } })] })],
			services: [service("users", [variant("v1", 1)], { access: null, callout: { ...CALLOUT, access: "sidecar" } })],
			accessPolicies: [accessPolicy("ann", "allow", ["users"], { users: [`${ISSUER}#ann`] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const saved = { format: 1, version, table, confirmedAtMs: Date.now() };
	await writeFile(join(data, "sidecar-table.json"), JSON.stringify(saved), { mode: 0o600 });
	const socketPath = join(data, "s.sock");
	const sidecar = await startSidecarChild(t, { arguments: ["--data", data, "--socket", socketPath] });
	const client = checkClient(socketPath);
	t.teardown(() => client.close());
	const code = async (jti: string) => {
		const iat = Math.floor(Date.now() / 1_000) - 10;
		const token = await signed({ ...CLAIMS, iat, exp: iat + 600, jti }, pair);
		const headers = { authorization: `Bearer ${token}` };
		return (await client.check({ method: "GET", path: "/", host: "users.test", headers })).status?.code;
	};
	t.equal(await code("1"), 0);
	await writeFile(file, jwksBytes([]));
	while (!/an issuer's key set could not be fetched or has no usable key/.test(sidecar.log())) await pause(10);
	t.not(await code("2"), 0);
	const line =
		sidecar
			.log()
			.split("\n")
			.find((one) => one.includes("an issuer's key set could not be fetched or has no usable key")) ?? "{}";
	t.match(JSON.parse(line), { level: "warn", fields: { usesCachedKeys: false, why: /\w/ } });
	t.match(line, file);
	await writeFile(file, set);
	while (!/an issuer's key set is usable again/.test(sidecar.log())) await pause(10);
	t.equal(await code("3"), 0);
	await sidecar.end("SIGTERM");
});
