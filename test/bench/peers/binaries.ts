/**
 * Builds the Go peers of the benchmarks from test/bench/peers/go with the modules that go.mod and go.sum pin, once per source
 * and Go version, into a cache.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WeirError } from "../../../src/error.js";

const run = promisify(execFile);

/** Compiled to dist/test/bench/peers, four levels below the package root. */
const SOURCE = fileURLToPath(new URL("../../../../test/bench/peers/go/", import.meta.url));
const PROGRAMS = ["noop", "opa", "load"] as const;

/** Paths of the programs. */
export type PeerBinaries = Readonly<Record<(typeof PROGRAMS)[number], string>> & {
	/** The output of `go version`. */
	readonly goVersion: string;
};

/**
 * @param notice called before a build, which takes a minute
 * @throws WeirError `failed-precondition` where there is no Go, or it cannot build them
 */
export async function peerBinaries(notice: (line: string) => void): Promise<PeerBinaries> {
	const goVersion = await installedGo();
	const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "weir", "peers");
	const directory = join(cache, await sourceHash(goVersion));
	if ((await stat(directory).catch(() => null)) === null) {
		notice(`building ${PROGRAMS.join(", ")} with ${goVersion} into ${directory}`);
		await mkdir(cache, { recursive: true });
		const work = await mkdtemp(join(cache, "build-"));
		try {
			await build(work);
			// A concurrent build of the same source may have finished first: then its folder stays.
			await rename(work, directory).catch(async (error: unknown) => {
				if ((await stat(directory).catch(() => null)) === null) throw error;
			});
		} finally {
			await rm(work, { recursive: true, force: true });
		}
	}
	const path = (program: string): string => join(directory, program);
	return { noop: path("noop"), opa: path("opa"), load: path("load"), goVersion };
}

async function installedGo(): Promise<string> {
	try {
		return (await run("go", ["version"], { cwd: SOURCE })).stdout.trim();
	} catch {
		throw new WeirError(
			"failed-precondition",
			"there is no Go on this machine, and the peers are Go programs",
			"install the Go that test/bench/peers/go/go.mod names and put it on the PATH",
		);
	}
}

async function build(directory: string): Promise<void> {
	const packages = PROGRAMS.map((program) => `./${program}`);
	try {
		await run("go", ["build", "-mod=readonly", "-trimpath", "-o", `${directory}/`, ...packages], { cwd: SOURCE });
	} catch (error) {
		const message = (error as { stderr?: string }).stderr?.trim() ?? String(error);
		throw new WeirError(
			"failed-precondition",
			`the peers could not be built: ${message}`,
			"look at Go's own words; it needs its module proxy once",
		);
	}
}

/** Changes with every file that goes into the programs, and with the compiler. */
async function sourceHash(goVersion: string): Promise<string> {
	const names = (await readdir(SOURCE, { recursive: true, withFileTypes: true }))
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
	const hash = createHash("sha256").update(goVersion);
	for (const name of names) hash.update(`\0${name.slice(SOURCE.length)}\0`).update(await readFile(name));
	return hash.digest("hex").slice(0, 16);
}
