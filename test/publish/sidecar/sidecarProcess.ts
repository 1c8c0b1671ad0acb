/** `weir sidecar` as a process of its own, with the table of a Plan from a file. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { MAIN } from "../../cli/command.js";

export interface SidecarProcess {
	readonly socketPath: string;
	readonly child: ChildProcess;
	/** Gives it the table of another Plan. */
	change(plan: Pick<CompiledPlan, "version" | "table">): Promise<void>;
	/** Sends the signal and resolves when the process is gone. */
	end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Resolves when it is ready; it ends with the test. */
export async function startSidecarProcess(
	t: { teardown(run: () => Promise<void>): unknown },
	plan: Pick<CompiledPlan, "version" | "table">,
): Promise<SidecarProcess> {
	const directory = await mkdtemp(join(tmpdir(), "weir-sidecar-"));
	const socketPath = join(directory, "sidecar.sock");
	const file = join(directory, "table.json");
	const change = async ({ version, table }: Pick<CompiledPlan, "version" | "table">): Promise<void> => {
		await writeFile(`${file}.new`, JSON.stringify({ version, table }), { mode: 0o600 });
		await rename(`${file}.new`, file);
	};
	await change(plan);
	const child = fork(MAIN, ["sidecar", "--table", file, "--socket", socketPath, "--metrics-socket", `${socketPath}.m`]);
	const gone = once(child, "exit");
	const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
		child.kill(signal);
		await gone;
	};
	t.teardown(async () => {
		if (child.exitCode === null && child.signalCode === null) await end("SIGKILL");
		await rm(directory, { recursive: true, force: true });
	});
	await once(child, "message");
	return { socketPath, child, change, end };
}
