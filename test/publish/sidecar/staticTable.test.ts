/** A table in a file: loaded when it changes, never when it is broken. */
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { TABLE_FILE_BYTES_MAX } from "../../../src/limits/index.js";
import { followTableFile, readTableFile } from "../../../src/publish/sidecar/staticTable.js";
import { Tables, type VersionedTable } from "../../../src/publish/sidecar/tables.js";
import { LogLines, tableOf } from "./sampleTable.js";

/** A log whose next line can be awaited. */
class WatchedLog extends LogLines {
	#waiting: (() => void) | null = null;

	constructor() {
		super();
		const { lines } = this;
		const push = lines.push.bind(lines);
		lines.push = (...more) => {
			const length = push(...more);
			this.#waiting?.();
			return length;
		};
	}

	async next(before = this.lines.length): Promise<string> {
		// The tested code does not keep the process alive, so the test must.
		const alive = setInterval(() => {}, 1_000);
		while (this.lines.length <= before) {
			await new Promise<void>((resolve) => {
				this.#waiting = resolve;
			});
		}
		clearInterval(alive);
		return this.lines[before] ?? "";
	}
}

async function start(t: Test, options: { readonly pollMs: number }, first = "table.json") {
	const folder = await mkdtemp(join(tmpdir(), "weir-static-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, first);
	await writeFile(path, JSON.stringify(tableOf(1), null, 2));
	const log = new WatchedLog();
	const tables = new Tables({ compile: ({ version }: VersionedTable) => version });
	const following = await followTableFile({ path, tables, log, ...options });
	t.teardown(() => following.close());
	return { folder, path, log, tables, following };
}

t.test("a changed file is loaded; a broken or missing one is not", async (t) => {
	const { path, folder, log, tables } = await start(t, { pollMs: 5 });
	t.equal(tables.get(null), tableOf(1).version);
	t.equal(tables.ageMs(), 0);
	const put = async (text: string): Promise<string> => {
		const line = log.next();
		await writeFile(join(folder, "aside"), text);
		await rename(join(folder, "aside"), path);
		return line;
	};
	t.match(await put(JSON.stringify(tableOf(2))), tableOf(2).version);
	t.equal(tables.get(null), tableOf(2).version);
	t.match(
		await put(JSON.stringify({ ...tableOf(3), version: tableOf(2).version })),
		"is refused: the table's content has",
	);
	t.match(await put("{"), "is not JSON");
	const line = log.next();
	await rm(path);
	t.match(await line, "cannot be read");
	t.equal(tables.get(null), tableOf(2).version);
	t.equal(tables.ageMs(), 0);
	t.match(await put(JSON.stringify(tableOf(4))), tableOf(4).version);
	t.equal(log.lines.length, 5, "each once");
});

t.test("a changed symbolic link, as in mounted volumes, is loaded", async (t) => {
	const folder = await mkdtemp(join(tmpdir(), "weir-static-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	for (const number of [1, 2]) {
		await mkdir(join(folder, `version${number}`));
		await writeFile(join(folder, `version${number}/table.json`), JSON.stringify(tableOf(number)));
	}
	await symlink("version1", join(folder, "current"));
	await symlink("current/table.json", join(folder, "table.json"));
	const log = new WatchedLog();
	const tables = new Tables({ compile: ({ version }: VersionedTable) => version });
	const path = join(folder, "table.json");
	const following = await followTableFile({ path, tables, log, pollMs: 5 });
	t.teardown(() => following.close());
	const line = log.next();
	await symlink("version2", join(folder, "next"));
	await rename(join(folder, "next"), join(folder, "current"));
	t.match(await line, tableOf(2).version);
});

t.test("a start without a good table fails with an error that names the file", async (t) => {
	const folder = await mkdtemp(join(tmpdir(), "weir-static-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, "table.json");
	await t.rejects(readTableFile(path), { code: "not-found", message: `the table ${path} cannot be read` });
	await t.rejects(readTableFile(folder), { code: "invalid-argument", message: /is no file/ });
	const cases: [unknown, RegExp][] = [
		[[], /is not \{version, table\}/],
		[null, /is not \{version, table\}/],
		[tableOf(1).table, /is not \{version, table\}/],
		[{ ...tableOf(1), more: 1 }, /is not \{version, table\}/],
		[{ ...tableOf(1), version: 1 }, /is not \{version, table\}/],
		[{ ...tableOf(1), table: {} }, /is refused/],
	];
	for (const [value, message] of cases) {
		await writeFile(path, JSON.stringify(value));
		await t.rejects(readTableFile(path), { code: "invalid-argument", message, hint: /weir compile --format table/ });
	}
	const log = new WatchedLog();
	const tables = new Tables({ compile: ({ version }: VersionedTable) => version });
	await t.rejects(followTableFile({ path, tables, log }), { code: "invalid-argument" });
	t.equal(tables.newest, null);
});

t.test("a file larger than any table is not read", async (t) => {
	const folder = await mkdtemp(join(tmpdir(), "weir-static-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const path = join(folder, "table.json");
	await writeFile(path, JSON.stringify(tableOf(1)) + " ".repeat(TABLE_FILE_BYTES_MAX));
	await t.rejects(readTableFile(path), { code: "resource-exhausted", message: /has \d+ bytes, more than \d+/ });
});

t.test("after close nothing is loaded", async (t) => {
	const { path, tables, following } = await start(t, { pollMs: 1 });
	following.close();
	await writeFile(path, JSON.stringify(tableOf(2)));
	await new Promise((resolve) => setTimeout(resolve, 30));
	t.equal(tables.get(null), tableOf(1).version);
});
