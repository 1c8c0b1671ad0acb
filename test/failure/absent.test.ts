/** The real sidecar is not there, hangs, or dies while it answers; and comes back. */
import { once } from "node:events";
import { link, rm } from "node:fs/promises";
import { createServer } from "node:net";
import t from "tap";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { DEAD, KILLED, LATE } from "./cases.js";
import { Matrix } from "./matrix.js";
import { startSidecarChild } from "./sidecarChild.js";
import { PROTOCOLS, type Stage, sidecarStat, startStage } from "./stage.js";

t.setTimeout(120_000);

for (const protocol of PROTOCOLS) {
	t.test(`${protocol}: dead, hung, killed, and back`, async (t) => {
		const stage = await startStage(t, protocol, { timeoutMs: 1_000 });
		const matrix = new Matrix(stage, protocol);
		await matrix.fails(t, DEAD, "no socket");
		await leaveSocket(stage.socketPath);
		await matrix.fails(t, DEAD, "a socket without a listener");

		const start = () => startSidecarChild(t, { arguments: ["--table", stage.tableFile, "--socket", stage.socketPath] });
		let sidecar = await start();
		await matrix.works(t, "started over a dead one's socket");

		sidecar.child.kill("SIGSTOP");
		await matrix.fails(t, LATE, "stopped");
		sidecar.child.kill("SIGCONT");
		await matrix.works(t, "continued");

		await matrix.fails(t, KILLED, "killed", {
			before: async () => {
				if (sidecar.child.signalCode !== null) sidecar = await start();
				sidecar.child.kill("SIGSTOP");
			},
			during: async () => {
				await open(stage, protocol);
				await sidecar.end("SIGKILL");
			},
		});
		sidecar = await start();
		await matrix.works(t, "started again");
		t.equal(await sidecar.end("SIGTERM"), 0, "and it ends in order");
		await matrix.logged(t);
	});
}

/** Until a request waits for the sidecar. */
async function open(stage: Stage, protocol: CalloutProtocol): Promise<void> {
	while ((await stage.envoy.stat(sidecarStat(protocol, "upstream_rq_active"))) === 0)
		await new Promise((resolve) => setTimeout(resolve, 5));
}

/** What a killed process leaves: a socket in the file system that no process has open. */
async function leaveSocket(path: string): Promise<void> {
	await rm(path, { force: true });
	const server = createServer().listen(`${path}.other`);
	await once(server, "listening");
	// Node removes the name of its socket when it closes, but not another name of it.
	await link(`${path}.other`, path);
	server.close();
	await once(server, "close");
}
