/**
 * The Python environment of gbstats, GrowthBook's engine, with the versions that test/bench/peers/python/requirements.txt pins.
 * Only `npm run bench:peers` makes it in the cache, because that needs a package index; benchmarks look for it.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WeirError } from "../../../src/error.js";

const run = promisify(execFile);

/** Compiled to dist/test/bench/peers, four levels below the package root. */
const SOURCE = fileURLToPath(new URL("../../../../test/bench/peers/python/", import.meta.url));
const REQUIREMENTS = join(SOURCE, "requirements.txt");
/** Written last: a folder without it was left half made. */
const DONE = "complete";

/** A program beside requirements.txt. */
export function pythonProgram(name: string): string {
	return join(SOURCE, name);
}

/**
 * The environment's python.
 * @throws WeirError `failed-precondition` where it has not been made
 */
export async function pythonPeer(): Promise<string> {
	const directory = await environment();
	if (!(await exists(join(directory, DONE))))
		throw new WeirError("failed-precondition", "the peer gbstats is not built", "run `npm run bench:peers` first");
	return join(directory, "bin", "python");
}

/**
 * Makes the environment if it does not exist.
 * @param notice called before it is made, which takes a minute
 * @throws WeirError `failed-precondition` where there is no Python 3, or the packages cannot be installed
 */
export async function buildPythonPeer(notice: (line: string) => void): Promise<string> {
	const directory = await environment();
	if (!(await exists(join(directory, DONE)))) {
		notice(`installing gbstats into ${directory}`);
		// Scripts of an environment name their own folder, so it is made in place and not moved there when complete.
		await rm(directory, { recursive: true, force: true });
		await mkdir(directory, { recursive: true });
		try {
			await run("python3", ["-m", "venv", directory]);
			await run(join(directory, "bin", "python"), ["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]);
		} catch (error) {
			const message = (error as { stderr?: string }).stderr?.trim() || String(error);
			throw new WeirError(
				"failed-precondition",
				`the peer gbstats could not be installed: ${message}`,
				"look at pip's own words; it needs its package index once, and Python 3.11 or 3.12",
			);
		}
		await writeFile(join(directory, DONE), "");
	}
	return join(directory, "bin", "python");
}

/** Changes with the pinned versions and with Python. */
async function environment(): Promise<string> {
	const python = await run("python3", ["--version"]).catch(() => {
		throw new WeirError(
			"failed-precondition",
			"there is no Python on this machine, and the peer gbstats is a Python package",
			"install Python 3.11 or 3.12 as python3 on the PATH",
		);
	});
	const hash = createHash("sha256")
		.update(python.stdout)
		.update(await readFile(REQUIREMENTS));
	const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "weir", "peers");
	return join(cache, `gbstats-${hash.digest("hex").slice(0, 16)}`);
}

async function exists(path: string): Promise<boolean> {
	return (await stat(path).catch(() => null)) !== null;
}
