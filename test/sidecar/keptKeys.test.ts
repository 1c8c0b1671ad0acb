/** `weir sidecar` that starts while control and the issuer are away: it judges by the table and the keys of before, in each of its workers. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { KeyShelf } from "../../src/tokens/keyShelf.js";
import { temporaryDirectory } from "../cli/command.js";
import { startSidecarChild } from "../failure/sidecarChild.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { CLAIMS, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../tokens/issuer.js";
import { checkClient } from "./checkClient.js";

t.setTimeout(60_000);

const pair = await keyPair();
/** Nobody listens there. */
const keys = { from: "url", url: "https://localhost:1/keys", caFile: null } as const;
const { version, table } = compile(
	resourceSet({
		gateways: [gateway({ tokens: [issuerOf({ keys })] })],
		services: [service("users", [variant("v1", 1)], { access: null, callout: { ...CALLOUT, access: "sidecar" } })],
		accessPolicies: [accessPolicy("ann", "allow", ["users"], { users: [`${ISSUER}#ann`] })],
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS },
);

/** Each time another token and another connection. @returns whether it was let in */
async function isLetIn(socketPath: string, round: number): Promise<boolean> {
	const iat = Math.floor(Date.now() / 1_000) - 10;
	const token = await signed({ ...CLAIMS, iat, exp: iat + 600, jti: `${round}` }, pair);
	const http = { method: "GET", path: "/", host: "users.test", headers: { authorization: `Bearer ${token}` } };
	const client = checkClient(socketPath);
	try {
		return (await client.check(http)).status?.code === 0;
	} finally {
		client.close();
	}
}

for (const workers of ["1", "2"]) {
	t.test(`--workers ${workers}`, async (t) => {
		const data = join(await temporaryDirectory(t), "data");
		const folder = join(data, "issuer-keys");
		await mkdir(folder, { recursive: true, mode: 0o700 });
		const saved = { format: 1, version, table, confirmedAtMs: Date.now() };
		await writeFile(join(data, "sidecar-table.json"), JSON.stringify(saved), { mode: 0o600 });
		const shelf = KeyShelf.open(folder, { onTrouble: t.fail });
		shelf?.of(keys).keep(jwksBytes([await publicJwk(pair, { kid: "k1" })]));
		while (!(await readdir(folder)).some((name) => name.endsWith(".json"))) await pause(10);
		const socketPath = join(data, "s.sock");
		const start = () =>
			startSidecarChild(t, { arguments: ["--data", data, "--socket", socketPath, "--workers", workers] });
		const sidecar = await start();
		for (let round = 0; round < 8; round++) t.ok(await isLetIn(socketPath, round));
		while (!/an issuer's keys cannot be had/.test(sidecar.log())) await pause(10);
		t.ok(await isLetIn(socketPath, 8), "and it has asked meanwhile");
		await sidecar.end("SIGKILL");
		shelf?.of(keys).forget();
		const next = await start();
		t.notOk(await isLetIn(socketPath, 9), "where none are kept nobody is");
		await next.end();
	});
}
