/**
 * proto/ against the official packages themselves, and upstream.json with them. Needs python3 with venv, and PyPI;
 * the fast tier compares with upstream.json alone (test/wire/drift.test.ts).
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

/** Compiled to dist/test/components. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FIXTURES = join(ROOT, "test/fixtures/proto");

/** @returns what it printed, and how it ended */
function run(command: string, args: readonly string[]): Promise<{ readonly out: string; readonly status: number }> {
	return new Promise((resolve) => {
		execFile(command, args, { cwd: ROOT }, (error, stdout, stderr) => {
			resolve({ out: stdout + stderr, status: error === null ? 0 : Number(error.code ?? 1) });
		});
	});
}

t.test("proto/ and upstream.json are what the official descriptors say, and an altered number is not", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-proto-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const python = join(directory, "venv/bin/python");
	const wheels = join(directory, "wheels");
	const steps: [string, readonly string[]][] = [
		["python3", ["-m", "venv", join(directory, "venv")]],
		[python, ["-m", "pip", "install", "--quiet", "protobuf==7.36.2"]],
		[python, ["-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels, "-r", join(FIXTURES, "requirements.txt")]],
	];
	for (const [command, args] of steps) t.match(await run(command, args), { status: 0 }, args.join(" "));
	const check = async (proto: string) => {
		const descriptors = join(directory, "ours.binpb");
		t.match(await run(join(ROOT, "node_modules/.bin/buf"), ["build", proto, "-o", descriptors]), { status: 0 });
		return run(python, [join(FIXTURES, "check.py"), "--descriptors", descriptors, "--wheels", wheels]);
	};
	t.match(await check(join(ROOT, "proto")), { status: 0, out: /no drift/ });

	const altered = join(directory, "proto");
	await cp(join(ROOT, "proto"), altered, { recursive: true });
	const file = join(altered, "envoy/config/route/v3/route_components.proto");
	const text = await readFile(file, "utf8");
	await writeFile(file, text.replace("RetryPolicy retry_policy = 16;", "RetryPolicy retry_policy = 17;"));
	t.match(await check(altered), {
		status: 1,
		out: /VirtualHost\.retry_policy: ours is '17 .*', upstream's is '16 /,
	});
});
