/** A part of Weir in a process of its own, as a user starts it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Test } from "tap";
import { MAIN } from "./command.js";

/** A part of Weir, resolved at its READY line. */
export async function part(
	t: Test,
	args: readonly string[],
	cwd?: string,
	environment: NodeJS.ProcessEnv = process.env,
): Promise<{ ready: Record<string, unknown>; child: ChildProcess; log(): string }> {
	const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"], cwd, env: environment });
	t.teardown(async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		const exited = once(child, "exit");
		child.kill("SIGTERM");
		await exited;
	});
	let log = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		log += chunk;
	});
	let out = "";
	const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			out += chunk;
			const line = /^READY (.*)$/m.exec(out)?.[1];
			if (line !== undefined) resolve(JSON.parse(line));
		});
		child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}: ${log}`)));
	});
	return { ready, child, log: () => log };
}
