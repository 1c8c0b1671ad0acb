/** A state file that cannot grow: the write is refused by name and leaves nothing, what was there stays and is written on. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";

const SCRIPT = `
	import { openDatabase } from ${JSON.stringify(new URL("../../src/state/store/database.js", import.meta.url).href)};
	const database = openDatabase(process.argv[1]);
	let written = 0;
	try {
		for (; written < 1_000; written++)
			database.transaction(() => {
				database.counters.putSync("revision", written);
				database.services.putSync("s" + written, { text: "x".repeat(100_000) });
			});
	} catch (error) {
		const { code, message, hint } = error;
		const left = { revision: database.counters.get("revision"), services: database.services.getKeysCount() };
		database.transaction(() => database.services.removeSync("s0"));
		await database.close();
		console.log(JSON.stringify({ code, message, hint, written, left }));
	}`;

t.test("a disk that is full refuses the change, and nothing else", (t) => {
	const directory = mkdtempSync(join(tmpdir(), "weir-full-"));
	t.teardown(() => rmSync(directory, { recursive: true, force: true }));
	// A file may not grow beyond 4,096 blocks: to the file's owner that looks like a full disk.
	const run = ["-c", 'ulimit -f 4096; exec "$0" "$@"', process.execPath, "--input-type=module", "-e", SCRIPT];
	const { stdout, stderr } = spawnSync("sh", [...run, join(directory, "state")], { encoding: "utf8" });
	t.equal(stderr, "");
	const { written, left, ...error } = JSON.parse(stdout);
	t.match(error, { code: "unavailable", message: /^the state file cannot be written, so nothing is changed: / });
	t.match(error, { hint: "check that its disk has room" });
	t.same(left, { revision: written - 1, services: written });
	t.end();
});
