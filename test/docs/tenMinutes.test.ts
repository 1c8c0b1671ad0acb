/** The commands of README's "Ten minutes" and of docs/getting-started.md run as they are printed, on other ports and in a folder of their own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { MAIN, temporaryDirectory } from "../cli/command.js";
import { blocks, lines, pathOf } from "./blocks.js";

t.setTimeout(120_000);

async function freePorts(count: number): Promise<readonly number[]> {
	const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
	await Promise.all(servers.map((server) => once(server, "listening")));
	const ports = servers.map((server) => (server.address() as { port: number }).port);
	await Promise.all(servers.map((server) => once(server.close(), "close")));
	return ports;
}

/** What builds Weir, and what does not end by itself, is left to other tests. */
const isRun = (line: string): boolean => !/^(npm|weir predictor)\b/.test(line);

/** `weir up … &` goes on once it is READY. */
const ready = (line: string): string =>
	/ up .*&$/.test(line)
		? `mkfifo ready; ${line.slice(0, -1)} > ready 2>> log & exec 3< ready; while read -r word rest <&3; do [ "$word" != READY ] || break; done`
		: line;

async function run(t: Test, text: string): Promise<void> {
	const directory = await temporaryDirectory(t);
	const [v1 = 0, v2 = 0, gateway = 0] = await freePorts(3);
	const moved = (of: string): string =>
		of
			.replaceAll("9001", `${v1}`)
			.replaceAll("9002", `${v2}`)
			.replaceAll("10000", `${gateway}`)
			.replaceAll("/tmp/", `${directory}/tmp/`);
	for (const name of ["bin", "deploy", "tmp"]) await mkdir(join(directory, name));
	const example = await readFile(pathOf("deploy/example.yaml"), "utf8");
	await writeFile(join(directory, "deploy/example.yaml"), moved(example));
	const programs = {
		weir: `exec '${process.execPath}' '${MAIN}' "$@"`,
		npx: `shift; exec weir "$@"`,
		curl: `exec "$(type -ap curl | sed -n 2p)" --silent --show-error --fail "$@"`,
	};
	for (const [name, body] of Object.entries(programs)) {
		const file = join(directory, "bin", name);
		await writeFile(file, `#!/usr/bin/env bash\n${body}\n`);
		await chmod(file, 0o755);
	}
	const script = blocks(text, "sh").flatMap(lines).filter(isRun).map(moved).map(ready);
	t.ok(script.some((line) => line.includes("weir up ")) && script.some((line) => line.startsWith("curl ")));
	const child = spawn(
		"bash",
		["-c", ["set -euxo pipefail", "trap 'kill $(jobs -p); wait' EXIT", ...script].join("\n")],
		{
			cwd: directory,
			detached: true,
			env: { ...process.env, PATH: `${directory}/bin:${process.env.PATH}` },
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	let output = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (chunk: string) => {
			output += chunk;
		});
	const [code] = await once(child, "close");
	t.equal(code, 0, output);
	t.match(output, /^x-weir-arm: boosted-vs-logistic\//m);
	t.match(output, /"accepted":1/);
	t.match(output, /^boosted-vs-logistic +Running/m);
}

t.test("README and docs/getting-started.md", async (t) => {
	const [readme, page] = await Promise.all(
		["README.md", "docs/getting-started.md"].map((name) => readFile(pathOf(name), "utf8")),
	);
	await Promise.all([run(t, /^## Ten minutes\n(.*?)^## /ms.exec(readme ?? "")?.[1] ?? ""), run(t, page ?? "")]);
});
