/** A state file that cannot grow: the write fails with an error and leaves nothing; stored data stays usable. */
import { spawnSync } from "node:child_process";
import fs, { mkdtempSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Writes } from "../../../src/operate/state/store/writes.js";

const SCRIPT = `
	import { openDatabase } from ${JSON.stringify(new URL("../../../src/operate/state/store/database.js", import.meta.url).href)};
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

t.test("a full disk refuses the change, and nothing else", (t) => {
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

t.test("a refused write is an error, and an alarm until a write succeeds", (t) => {
	let error: Error | null = Object.assign(new Error("No space left on device"), { code: 28 });
	let tried = 0;
	const commit = <T>(change: () => T): T => {
		if (error !== null) throw error;
		return change();
	};
	const writes = new Writes(tmpdir(), commit, () => void tried++);
	t.equal(writes.fault(), null);
	const message = "the state file cannot be written, so nothing is changed: no space left on the disk";
	t.throws(() => writes.run(() => 1), { code: "unavailable", message });
	t.equal(writes.fault(), "no space left on the disk");
	error = Object.assign(new Error("Input/output error"), { code: 5 });
	t.throws(() => writes.run(() => 1), { code: "unavailable", message: /Input\/output error/ });
	t.equal(writes.fault(), "Input/output error", "of a disk that has room");
	error = new Error("no number for a code");
	t.throws(() => writes.run(() => 1), error);
	error = null;
	t.equal(writes.fault(), null);
	t.equal(tried, 1, "only where something was refused");
	t.equal(writes.fault(), null);
	t.equal(tried, 1);
	t.end();
});

/** What every folder's disk has, until the test ends. */
function disk(t: Test) {
	const has = { bsize: 4_096, blocks: 1_000_000, bavail: 0 };
	const { statfsSync } = fs;
	const put = (one: typeof statfsSync): void => {
		fs.statfsSync = one;
		syncBuiltinESMExports();
	};
	put((() => has) as unknown as typeof statfsSync);
	t.teardown(() => put(statfsSync));
	return has;
}

t.test("a full disk is reported before a write fails, also after a restart, until there is space", (t) => {
	const has = disk(t);
	// A small write fits into the file itself.
	const writes = new Writes("/data", (change) => change(), t.fail);
	t.equal(writes.fault(), "no space left on the disk");
	writes.run(() => 1);
	t.equal(writes.fault(), "no space left on the disk");
	has.bavail = 1_000;
	t.equal(writes.fault(), null);
	has.bavail = 0;
	has.blocks = 0;
	t.equal(writes.fault(), null, "a file system without sizes");
	t.end();
});

t.test("free space is noticed after any refused write", (t) => {
	const has = disk(t);
	let error: Error | null = Object.assign(new Error("Input/output error"), { code: 5 });
	const commit = <T>(change: () => T): T => {
		if (error !== null) throw error;
		return change();
	};
	const writes = new Writes("/data", commit, () => {});
	t.throws(() => writes.run(() => 1), { message: /no space left on the disk/ }, "as LMDB calls a write taken in part");
	has.bavail = 1_000;
	t.equal(writes.fault(), "Input/output error", "it is refused all the same");
	error = null;
	has.bavail = 0;
	t.equal(writes.fault(), "no space left on the disk");
	has.bavail = 1_000;
	t.equal(writes.fault(), null);
	t.end();
});
