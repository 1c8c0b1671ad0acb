/** Files of a resource whose reads hang are bounded in time and in threads. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { KEYS_BYTES_MAX } from "../../../src/limits/index.js";
import {
	boundedFiles,
	FILES_STUCK_MAX,
	type OpenFile,
	readDeclaredFile,
} from "../../../src/trust/tokens/declaredFile.js";
import { keyLoad } from "../../../src/trust/tokens/keyLoad.js";

const directory = await mkdtemp(join(tmpdir(), "weir-files-"));
t.teardown(() => rm(directory, { recursive: true, force: true }));
const at = (name: string): string => join(directory, name);
execFileSync("mkfifo", [at("pipe")]);
await mkdir(at("folder"));

t.test("a special file is refused at once, as keys and as the CA of their address", async (t) => {
	for (const path of [at("pipe"), at("folder"), "/dev/zero"]) {
		await t.rejects(readDeclaredFile(path), /no regular file/, path);
		await t.rejects(keyLoad({ from: "file", file: path })(), /no regular file/, path);
		const load = keyLoad({ from: "url", url: "https://localhost:1/keys", caFile: path });
		await t.rejects(load(), /^Error: jwksCaFile: it is no regular file$|jwksCaFile: it is no regular file/, path);
	}
	await writeFile(at("big"), Buffer.alloc(KEYS_BYTES_MAX + 1));
	await t.rejects(keyLoad({ from: "url", url: "https://localhost:1/keys", caFile: at("big") })(), /larger/);
	await writeFile(at("fits"), Buffer.alloc(KEYS_BYTES_MAX, "a"));
	t.equal((await readDeclaredFile(at("fits"))).length, KEYS_BYTES_MAX);
});

t.test("a read that hangs is given up, not repeated, and never takes all threads", async (t) => {
	const opened: string[] = [];
	const cut = new Map<string, (error: Error) => void>();
	const hang: OpenFile = (path) => {
		opened.push(path);
		return new Promise((_, reject) => cut.set(path, reject));
	};
	const files = boundedFiles(hang, 1);
	const paths = Array.from({ length: FILES_STUCK_MAX }, (_, index) => `/mnt/${index}`);
	for (const path of paths) {
		await t.rejects(files.read(path), /not read within 1 ms/);
		await t.rejects(files.read(path), /an earlier read of the file has not ended/);
	}
	await t.rejects(files.read("/mnt/more"), /reads of 2 other files have not ended/);
	t.same(opened, paths);
	cut.get("/mnt/0")?.(new Error("stale file handle"));
	await new Promise((resolve) => setImmediate(resolve));
	await t.rejects(files.read("/mnt/more"), /not read within/, "a thread is back");
});
