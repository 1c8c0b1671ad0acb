/** Runs `weir` as a user would: the built command, real arguments, bytes in and bytes out. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Answer, answerOf } from "../fixtures/answerOf.js";

/** The bundle, as users run it, if the runner found it up to date; else the last compilation. */
export const MAIN = process.env.WEIR_MAIN ?? fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Result {
	readonly code: number | null;
	readonly stdout: Buffer;
	readonly stderr: string;
}

export async function weir(args: readonly string[], input: Uint8Array | string = ""): Promise<Result> {
	const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["pipe", "pipe", "pipe"] });
	const stdout: Buffer[] = [];
	let stderr = "";
	child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		stderr += chunk;
	});
	child.stdin.end(input);
	const [code] = (await once(child, "close")) as [number | null];
	return { code, stdout: Buffer.concat(stdout), stderr };
}

/** A temporary directory that ends with the test. */
export async function temporaryDirectory(t: { teardown(run: () => Promise<void>): unknown }): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "weir-cli-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	return directory;
}

export async function fileOf(directory: string, name: string, text: string): Promise<string> {
	const path = join(directory, name);
	await writeFile(path, text);
	return path;
}

export interface Ready {
	readonly gateways: Readonly<Record<string, string>>;
	/** The first of them. */
	readonly gateway: string;
	/** `unix:/path` */
	readonly api: string;
	readonly https: string;
	readonly metrics: string;
}

/** A request of the API over its UNIX socket, as the local owner. @param api `unix:/path` */
export function askApi(
	api: string,
	path: string,
	more: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {},
): Promise<Answer> {
	const { headers = {}, body } = more;
	const method = body === undefined ? "GET" : "POST";
	return answerOf({ socketPath: api.slice("unix:".length), path, method, headers }, body);
}

export interface RunningUp {
	readonly child: ChildProcess;
	readonly ready: Ready;
	/** Standard error so far. */
	log(): string;
	stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** `weir up`, resolved at its READY line. @param file null = from the state */
export async function weirUp(file: string | null, data: string, more: readonly string[] = []): Promise<RunningUp> {
	const given = file === null ? [] : ["-f", file];
	const child = spawn(process.execPath, [MAIN, "up", ...given, "--data", data, ...more], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	let log = "";
	let out = "";
	child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		log += chunk;
	});
	const exited = once(child, "exit") as Promise<[number | null]>;
	const ready = await new Promise<Ready>((resolve, reject) => {
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			out += chunk;
			const line = /^READY (.*)$/m.exec(out)?.[1];
			if (line !== undefined) resolve(JSON.parse(line));
		});
		void exited.then(([code]) => reject(new Error(`weir up ended with ${code}:\n${log}`)));
	});
	return {
		child,
		ready,
		log: () => log,
		stop: async (signal = "SIGTERM") => {
			if (child.exitCode === null && child.signalCode === null) child.kill(signal);
			const [code] = await exited;
			return code;
		},
	};
}
