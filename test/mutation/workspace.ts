/**
 * A copy of the compiled tree in which one file at a time is another: probes run there, and neither the tree itself
 * nor a compiler that writes it meanwhile is touched.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Workspace {
	/** Of scene and baseline. */
	readonly directory: string;
	read(file: string): Promise<string>;
	/** Replaces the file (relative to dist/src) until the next call; null = all as it was. */
	put(file: string, source: string | null): Promise<void>;
	probe(task: "record" | "try", room: string, limits: Limits): Promise<ProbeEnd>;
	/** Runs a test file (under dist/test, without `.test.js`) up to its first failure. */
	test(name: string): Promise<ProbeEnd>;
	close(): Promise<void>;
}

export interface Limits {
	/** Of the probe's own CPU time, so that a busy machine ends no probe. */
	readonly cpuSeconds: number;
	readonly wallMs: number;
}

export interface ProbeEnd {
	/** from outside: somebody killed it, which says nothing about the mutant. */
	readonly ended: "by itself" | "for CPU time" | "for wall time" | "from outside";
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** What the compiled tree needs beside it; all of src and test that is not compiled is read there by tests. */
const NEIGHBOURS = ["node_modules", "package.json", "envoy", "proto", "src", "test"];

/** Of a test file with all that it starts: one that ends takes a tenth of it. */
const TEST_LIMITS: Limits = { cpuSeconds: 60, wallMs: 120_000 };

/** @param root of the repository, with its dist */
export async function createWorkspace(root: string): Promise<Workspace> {
	const directory = await mkdtemp(join(tmpdir(), "weir-mutation-"));
	const tree = join(directory, "tree");
	await mkdir(tree);
	for (const name of ["src", "test"]) {
		await cp(join(root, "dist", name), join(tree, "dist", name), {
			recursive: true,
			filter: (path) => !path.endsWith(".map"),
		});
	}
	for (const name of NEIGHBOURS) await symlink(resolve(root, name), join(tree, name));
	return over(directory, tree, true);
}

/** Another tree for the same scene, so that two probes can run at once. */
export async function cloneWorkspace(of: Workspace): Promise<Workspace> {
	const tree = await mkdtemp(join(of.directory, "tree-"));
	await cp(join(of.directory, "tree"), tree, { recursive: true, verbatimSymlinks: true });
	return over(of.directory, tree, false);
}

function over(directory: string, tree: string, whole: boolean): Workspace {
	const pathOf = (file: string): string => join(tree, "dist", "src", file);
	const originals = new Map<string, string>();
	let changed: string | null = null;
	const read = async (file: string): Promise<string> => {
		const known = originals.get(file) ?? (await readFile(pathOf(file), "utf8"));
		originals.set(file, known);
		return known;
	};
	return {
		directory,
		read,
		async put(file, source) {
			if (changed !== null) await writeFile(pathOf(changed), await read(changed));
			await read(file);
			changed = source === null ? null : file;
			if (source !== null) await writeFile(pathOf(file), source);
		},
		probe: (task, room, limits) =>
			run([join(tree, "dist", "test", "mutation", "probeProcess.js"), directory, task, room], limits),
		test: (name) => run([join(tree, "dist", "test", `${name}.test.js`)], TEST_LIMITS, tree),
		close: () => rm(whole ? directory : tree, { recursive: true, force: true }),
	};
}

async function run(args: readonly string[], { cpuSeconds, wallMs }: Limits, cwd?: string): Promise<ProbeEnd> {
	// A group of its own, so that its Envoy ends with it whatever happens.
	const child = spawn("sh", ["-c", `ulimit -S -t ${cpuSeconds}; exec "$0" "$@"`, process.execPath, ...args], {
		detached: true,
		// Tests take what they write from where they run, and end at their first failure.
		...(cwd === undefined ? {} : { cwd, env: { ...process.env, TAP_BAIL: "1" } }),
		stdio: ["ignore", "pipe", "pipe"],
	});
	let [stdout, stderr] = ["", ""];
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		stderr = (stderr + text).slice(-20_000);
	});
	const killGroup = (): void => {
		try {
			if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
		} catch {
			// It has ended, and all of its group.
		}
	};
	let late = false;
	const deadline = setTimeout(() => {
		late = true;
		killGroup();
	}, wallMs);
	process.once("exit", killGroup);
	const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
	clearTimeout(deadline);
	process.off("exit", killGroup);
	killGroup();
	return { ended: late ? "for wall time" : endOf(signal), code, stdout, stderr };
}

function endOf(signal: NodeJS.Signals | null): ProbeEnd["ended"] {
	if (signal === "SIGXCPU") return "for CPU time";
	return signal === "SIGKILL" || signal === "SIGTERM" ? "from outside" : "by itself";
}
