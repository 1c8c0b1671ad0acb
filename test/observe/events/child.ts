/** Starts ingestProcess.ts and waits until it is ready. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export async function spawnIngest(directory: string): Promise<ChildProcess> {
	const script = fileURLToPath(new URL("./ingestProcess.js", import.meta.url));
	const child = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
	const ended = once(child, "exit").then(() => {
		throw new Error("ingest ended before it was ready");
	});
	await Promise.race([once(child.stdout, "data"), ended]);
	ended.catch(() => undefined);
	return child;
}
