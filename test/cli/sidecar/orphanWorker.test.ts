/** A worker of `weir sidecar --workers 2` whose primary was killed ends, without log lines that look like a crash. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { ALIVE_EVERY_MS } from "../../../src/publish/sidecar/grpc/workers.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { serviceTable } from "../../publish/sidecar/calloutTable.js";
import { versioned } from "../../publish/sidecar/sampleTable.js";
import { temporaryDirectory } from "../command.js";

t.setTimeout(120_000);

t.test("a message of a worker to a dead primary is no error", async (t) => {
	const directory = await temporaryDirectory(t);
	const table = join(directory, "table.json");
	await writeFile(table, JSON.stringify(versioned({ gateways: [], services: [serviceTable("small")] })), {
		mode: 0o600,
	});
	const socket = join(directory, "s.sock");
	const sidecar = await startSidecarChild(t, { arguments: ["--table", table, "--socket", socket, "--workers", "2"] });
	const pids = execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
		.trim()
		.split("\n")
		.map(Number);
	t.equal(pids.length, 2);
	for (const pid of pids) process.kill(pid, "SIGSTOP");
	await sidecar.end("SIGKILL");
	// Their timers are due by then, and fire before they notice that the primary is gone.
	await pause(ALIVE_EVERY_MS);
	// The workers hold its other end.
	const allEnded = once(sidecar.child, "close");
	for (const pid of pids) process.kill(pid, "SIGCONT");
	await allEnded;
	t.equal(sidecar.log(), "");
});
