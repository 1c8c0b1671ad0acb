/** A child of the supervisor ends with its parent, also where a file holds one of its threads or its closing hangs. */
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { temporaryDirectory } from "./command.js";

const CHILD = new URL("../../src/cli/stack/child.js", import.meta.url);

const cases: readonly (readonly [string, string, readonly unknown[]])[] = [
	["in order", "", [0, null]],
	["a thread is in a pipe", "open(process.argv[2]).catch(() => {});", [null, "SIGKILL"]],
];

for (const [what, before, ended] of cases) {
	t.test(what, async (t) => {
		const directory = await temporaryDirectory(t);
		const pipe = join(directory, "pipe");
		execFileSync("mkfifo", [pipe]);
		const module = join(directory, "child.mjs");
		await writeFile(
			module,
			`import { open } from "node:fs/promises";
import { serveUntilStopped } from ${JSON.stringify(CHILD.href)};
${before}
serveUntilStopped("ready", async () => {});
`,
		);
		const child = fork(module, [pipe], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
		t.teardown(() => child.kill("SIGKILL"));
		await once(child, "message");
		child.disconnect();
		t.same(await once(child, "exit"), ended);
	});
}
