/** `weir up` stops its processes one by one, Envoy before the sidecar. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { Supervisor } from "../../../src/cli/stack/supervisor.js";

const CHILD = `
import { appendFileSync } from "node:fs";
const [, , name, file] = process.argv;
const write = (what) => appendFileSync(file, name + " " + what + "\\n");
process.once("SIGTERM", () => {
	write("gets SIGTERM");
	setTimeout(() => { write("is gone"); process.exit(0); }, 20);
});
process.once("disconnect", () => process.exit(0));
process.send("ready");
`;

t.test("processes stop one by one in the reverse order of start, also after a restart", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-stop-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const module = join(directory, "child.mjs");
	const file = join(directory, "stops");
	await writeFile(module, CHILD);
	let back: () => void = () => {};
	const supervisor = new Supervisor({ notice: (line) => line.endsWith("is back") && back() });
	const names = ["xds", "sidecar", "envoy"];
	for (const name of names) await supervisor.start({ name, module, args: [name, file] });
	for (const name of names) {
		const pid = supervisor.pid(name) ?? 0;
		// proc(5): the fields after the command's closing parenthesis are state, ppid, pgrp.
		const group = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ")[2];
		t.equal(Number(group), pid, `${name} is in a process group of its own`);
	}
	const restarted = new Promise<void>((resolve) => {
		back = resolve;
	});
	process.kill(supervisor.pid("sidecar") ?? 0, "SIGKILL");
	await restarted;
	await supervisor.stop();
	t.same((await readFile(file, "utf8")).trim().split("\n"), [
		"envoy gets SIGTERM",
		"envoy is gone",
		"sidecar gets SIGTERM",
		"sidecar is gone",
		"xds gets SIGTERM",
		"xds is gone",
	]);
});
