/** With --identity-socket all parts of `weir up` take their identity from that agent, and no own authority is made. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { get, identityOf, mutualAgent } from "../../trust/identity/mesh.js";
import { startBackend } from "../backend.js";
import { fileOf, MAIN, temporaryDirectory, weirUp } from "../command.js";
import { MESH_GATEWAY, protectedService } from "../documents.js";

t.setTimeout(120_000);

const DOMAIN = "agent.test";
const id = (path: string): string => `spiffe://${DOMAIN}/weir/${path}`;
/** One socket is one identity here: all parts have that of Envoy. */
const ENVOY = id("envoy/weir-gateway");

t.test("all parts of weir up take their identity from an external agent", async (t) => {
	const directory = await temporaryDirectory(t);
	const agent = spawn(
		process.execPath,
		[MAIN, "ca", "--data", join(directory, "ca"), "--trust-domain", DOMAIN, "--workload", `all=${ENVOY}`],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	t.teardown(async () => {
		agent.kill("SIGTERM");
		if (agent.exitCode === null) await once(agent, "exit");
	});
	const [line] = (await once(agent.stdout.setEncoding("utf8"), "data")) as [string];
	const socket = (JSON.parse(line.slice("READY ".length)) as { workloads: { all: { socket: string } } }).workloads.all
		.socket;
	const port = await startBackend(t);
	const file = await fileOf(
		directory,
		"weir.yaml",
		[protectedService("own", port, ENVOY), protectedService("foreign", port, id("other")), MESH_GATEWAY].join("---\n"),
	);
	const data = join(directory, "data");
	const up = await weirUp(file, data, ["--identity-socket", socket, "--trust-domain", DOMAIN]);
	t.teardown(async () => void (await up.stop()));
	const caller = await identityOf(t, socket);
	const ask = async (host: string): Promise<number> => {
		const agent = mutualAgent(caller, (peer) => peer === ENVOY);
		try {
			return await get({ port: new URL(up.ready.gateway).port, agent, headers: { host } });
		} finally {
			agent.destroy();
		}
	};
	t.equal(await ask("own.test"), 200, "by the agent's identities on both sides");
	t.equal(await ask("foreign.test"), 403);
	t.notOk(existsSync(join(data, "run/identity")), "there is no authority of its own");
	t.equal(await up.stop(), 0);
});
