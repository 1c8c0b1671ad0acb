/** The Go client of test/fixtures/go/grpcclient, built once into a cache. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const SOURCE = resolve(import.meta.dirname, "../../../test/fixtures/go/grpcclient");
const FILES = ["main.go", "go.mod", "go.sum"];

/** What the client prints. */
export interface GoResult {
	readonly calls: number;
	/** Calls by the name of their status code. */
	readonly codes: Readonly<Record<string, number>>;
	/** Responses that were not the request's echo. */
	readonly wrong: number;
	readonly connections: number;
	readonly seconds: number;
	readonly message?: string;
}

const run = promisify(execFile);

/** @returns the program, or null and one line on standard output where Go is absent or the modules are unavailable */
export async function goClient(): Promise<string | null> {
	const hash = createHash("sha256");
	for (const file of FILES) hash.update(readFileSync(join(SOURCE, file)));
	const folder = join(homedir(), ".cache/weir/go");
	const program = join(folder, `grpcclient-${hash.digest("hex").slice(0, 16)}`);
	if (existsSync(program)) return program;
	mkdirSync(folder, { recursive: true });
	try {
		await run("go", ["version"]);
	} catch {
		console.log("# skipped: Go is not installed, so the Go client cannot be built");
		return null;
	}
	const built = `${program}.${process.pid}`;
	await run("go", ["build", "-o", built, "."], { cwd: SOURCE, timeout: 200_000 });
	renameSync(built, program);
	return program;
}

/** Runs one scenario. */
export function runGoClient(program: string, args: Readonly<Record<string, string | number>>): Promise<GoResult> {
	return new Promise((resolveResult, reject) => {
		const child = spawn(
			program,
			Object.entries(args).map(([name, value]) => `-${name}=${value}`),
			{ stdio: ["ignore", "pipe", "inherit"] },
		);
		let out = "";
		child.stdout.on("data", (chunk: Buffer) => {
			out += chunk;
		});
		child.once("error", reject);
		child.once("close", (code) => {
			if (code === 0) resolveResult(JSON.parse(out) as GoResult);
			else reject(new Error(`the Go client ended with ${code}`));
		});
	});
}
