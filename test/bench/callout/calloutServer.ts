/** Starts a callout server as a child process and waits until it prints READY. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface CalloutServer {
	readonly pid: number;
	readonly socket: string;
	stop(): Promise<void>;
}

/**
 * @param command program and arguments
 * @throws Error when it ends before it is ready
 */
export async function startCalloutServer(command: readonly string[], socket: string): Promise<CalloutServer> {
	const [program = "", ...args] = command;
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
	await ready(child, command.join(" "));
	return {
		pid: child.pid ?? 0,
		socket,
		async stop() {
			if (child.exitCode !== null || child.signalCode !== null) return;
			child.kill("SIGTERM");
			await once(child, "exit");
		},
	};
}

async function ready(child: ChildProcess, command: string): Promise<void> {
	if (child.stdout === null) throw new Error(`${command} has no output`);
	let started = false;
	for await (const line of createInterface({ input: child.stdout })) {
		started = line.startsWith("READY");
		if (started) break;
	}
	if (!started) throw new Error(`${command} ended before it was ready`);
	// Later output has no reader, and a full pipe would stop the process.
	child.stdout.resume();
}
