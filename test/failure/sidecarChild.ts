/** The real `weir sidecar` in a process of its own, which a test may stop, kill and start again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { MAIN } from "../cli/command.js";

export interface SidecarChild {
	readonly child: ChildProcess;
	readonly pid: number;
	/** The content of its READY line. */
	readonly ready: Readonly<Record<string, unknown>>;
	/** Standard error so far. */
	log(): string;
	/** Resolves with the exit code when the process ends; null = by a signal. */
	ended(): Promise<number | null>;
	/** Sends the signal; resolves when the process is gone, with its exit code. */
	end(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface SidecarChildOptions {
	readonly arguments: readonly string[];
	readonly environment?: NodeJS.ProcessEnv;
}

/** Resolves at the READY line. @throws Error with its log where it ends before that */
export async function startSidecarChild(
	t: { teardown(run: () => Promise<void>): unknown },
	{ arguments: given, environment = {} }: SidecarChildOptions,
): Promise<SidecarChild> {
	const child = spawn(process.execPath, [MAIN, "sidecar", ...given], {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, ...environment },
	});
	let log = "";
	let out = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		log += chunk;
	});
	const exited = once(child, "exit") as Promise<[number | null]>;
	const ended = async (): Promise<number | null> => (await exited)[0];
	const end = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
		if (child.exitCode === null && child.signalCode === null) child.kill(signal);
		return ended();
	};
	t.teardown(async () => void (await end("SIGKILL")));
	const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			out += chunk;
			const line = /^READY (.*)$/m.exec(out)?.[1];
			if (line !== undefined) resolve(JSON.parse(line));
		});
		void exited.then(([code]) => reject(new Error(`weir sidecar ended with ${code}:\n${log}`)));
	});
	return { child, pid: child.pid ?? 0, ready, log: () => log, ended, end };
}
