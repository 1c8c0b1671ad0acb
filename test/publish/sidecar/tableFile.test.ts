/** The last good table on disk: what a restart restores, and what it ignores. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, watch } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { TABLE_CLOCK_SKEW_MS, TableFile } from "../../../src/publish/sidecar/tableFile.js";
import { Tables, type TablesOptions, type VersionedTable } from "../../../src/publish/sidecar/tables.js";
import { removePrivate } from "../../../src/trust/local/privateFile.js";
import { LogLines, tableOf } from "./sampleTable.js";

/** The program of coreutils, not of a package. */
const MAKE_PIPE = "mkfifo";
const compile = ({ version }: VersionedTable) => version;
const until = async (holds: () => boolean): Promise<void> => {
	while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
};

/** A folder in place of the new file, so that writing fails; a write in progress has its file there. */
async function block(path: string): Promise<void> {
	while (
		!(await mkdir(`${path}.new/x`, { recursive: true }).then(
			() => true,
			() => false,
		))
	) {
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}

async function start(t: Test) {
	const folder = await mkdtemp(join(tmpdir(), "weir-table-"));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const at = { wall: 1_000_000 };
	const clock = { wallMs: () => at.wall, monotonicMs: () => at.wall };
	const log = new LogLines();
	const path = join(folder, "sidecar/table.json");
	return { folder, path, at, clock, log, file: (refreshMs = 60_000) => new TableFile(path, { log, clock, refreshMs }) };
}

/** Saves one table, confirmed now. */
async function save(t: Test, given = tableOf(1)) {
	const made = await start(t);
	const tables = new Tables({ compile, clock: made.clock });
	const stop = made.file().follow(tables);
	tables.put(given);
	tables.confirm();
	await stop();
	return { ...made, given };
}

t.test("a restart restores the saved table with its age", async (t) => {
	const { path, at, clock, log, file, given } = await save(t);
	t.equal((await stat(path)).mode & 0o777, 0o600);
	at.wall += 90_000;
	const tables = new Tables({ compile, clock });
	t.equal(await file().restore(tables), true);
	t.same(tables.newest, given);
	t.equal(tables.get(null), given.version);
	t.equal(tables.confirmed, false);
	t.equal(tables.ageMs(), 90_000);
	at.wall += 1_000;
	t.equal(tables.ageMs(), 91_000);
	t.match(log.lines, [/the last good table is served until control gives one .*"ageMs":90000/]);
});

t.test("without a file nothing is restored or logged", async (t) => {
	const { clock, log, file } = await start(t);
	const tables = new Tables({ compile, clock });
	t.equal(await file().restore(tables), false);
	t.equal(tables.newest, null);
	t.same(log.lines, []);
});

t.test("a file time in the future gives the table the greatest age", async (t) => {
	const { at, clock, file } = await save(t);
	const tables = new Tables({ compile, clock });
	at.wall -= TABLE_CLOCK_SKEW_MS;
	await file().restore(tables);
	t.equal(tables.ageMs(), 0, "a clock that was corrected a little");
	at.wall -= 1;
	const next = new Tables({ compile, clock });
	t.equal(await file().restore(next), true);
	t.equal(next.ageMs(), Number.POSITIVE_INFINITY);
});

t.test("a file does not replace a table that was set before", async (t) => {
	const { clock, log, file } = await save(t);
	const tables = new Tables({ compile, clock, prepare: async () => {} });
	const taken = tables.take(tableOf(2));
	t.equal(await file().restore(tables), false);
	await taken;
	t.equal(await file().restore(tables), false);
	t.equal(tables.newest?.version, tableOf(2).version);
	t.same(log.lines, []);
});

t.test("a damaged file is ignored with the reason, and the next good table replaces it", async (t) => {
	const { path, clock, log, file, given } = await save(t);
	const whole = await readFile(path, "utf8");
	const parsed = JSON.parse(whole);
	const cases: [string, string][] = [
		["", "it is not JSON"],
		[whole.slice(0, whole.length / 2), "it is not JSON"],
		[whole.replace('"v1"', '"v2"'), "the table's content has the hash"],
		[whole.replace(given.version, "0".repeat(16)), "the table's content has the hash"],
		[JSON.stringify({ ...parsed, format: 2 }), "it is not of format 1"],
		["null", "it is not of format 1"],
		[JSON.stringify({ ...parsed, confirmedAtMs: "now" }), "it names no version or no time"],
		[JSON.stringify({ ...parsed, table: undefined }), "the table is not JSON"],
		["\u0000".repeat(4_096), "it is not JSON"],
	];
	for (const [text, why] of cases) {
		await writeFile(path, text);
		const tables = new Tables({ compile, clock });
		t.equal(await file().restore(tables), false);
		t.equal(tables.newest, null, why);
		t.equal(tables.ageMs(), Number.POSITIVE_INFINITY);
		t.match(log.lines.at(-1), why);
		t.notMatch(log.lines.at(-1), /employment/, "nothing of the content is quoted");
	}
	const tables = new Tables({ compile, clock });
	const stop = file().follow(tables);
	tables.put(given);
	tables.confirm();
	await stop();
	t.equal(await readFile(path, "utf8"), whole);
});

t.test("any changed byte and any truncation of the file is noticed", async (t) => {
	const { path, clock, file } = await save(t);
	const whole = await readFile(path);
	// Up to the time, which no hash covers.
	const sealed = whole.indexOf(',"confirmedAtMs"');
	for (let index = 0; index < sealed; index += 7) {
		const bytes = Buffer.from(whole);
		bytes[index] = (bytes[index] ?? 0) ^ 1;
		await writeFile(path, bytes);
		t.equal(await file().restore(new Tables({ compile, clock })), false, `byte ${index}`);
	}
	for (let length = 0; length < sealed; length += 13) {
		await writeFile(path, whole.subarray(0, length));
		t.equal(await file().restore(new Tables({ compile, clock })), false, `${length} bytes`);
	}
});

t.test("files that others can write, and special files, are ignored and block nothing", async (t) => {
	const { path, folder, clock, log, file } = await save(t);
	await chmod(path, 0o620);
	t.equal(await file().restore(new Tables({ compile, clock })), false);
	t.match(log.lines.at(-1), "others can write it");
	await rm(path);
	await mkdir(path);
	t.equal(await file().restore(new Tables({ compile, clock })), false);
	t.match(log.lines.at(-1), "it is no file");
	await rm(path, { recursive: true });
	execFileSync(MAKE_PIPE, ["-m", "600", path]);
	t.equal(await file().restore(new Tables({ compile, clock })), false);
	t.match(log.lines.at(-1), "it is no file");
	t.same(await readdir(join(folder, "sidecar")), ["table.json"]);
});

t.test("a saved table that no longer compiles is ignored", async (t) => {
	const { clock, log, file } = await save(t);
	const tables = new Tables({
		clock,
		compile: () => {
			throw new Error("employment");
		},
	});
	t.equal(await file().restore(tables), false);
	t.equal(tables.newest, null);
	t.match(log.lines.at(-1), "it cannot be read or compiled");
	t.notMatch(log.lines.at(-1), "employment");
});

t.test("the file's time is renewed only while control confirms the table", async (t) => {
	const { at, clock, path, file } = await start(t);
	const saved = async () => JSON.parse(await readFile(path, "utf8").catch(() => "{}")).confirmedAtMs;
	const savedAt = async (wanted: number): Promise<void> => {
		while ((await saved()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 1));
	};
	const tables = new Tables({ compile, clock });
	const stop = file(5).follow(tables);
	t.teardown(stop);
	tables.put(tableOf(1));
	tables.confirm();
	await savedAt(1_000_000);
	at.wall = 2_000_000;
	await savedAt(2_000_000);
	at.wall = 3_000_000;
	tables.lapse();
	at.wall = 4_000_000;
	await stop();
	t.equal(await saved(), 3_000_000);
});

t.test("a table that was never confirmed is not saved", async (t) => {
	const { clock, path, file } = await start(t);
	const tables = new Tables({ compile, clock });
	const stop = file().follow(tables);
	tables.put(tableOf(1));
	await stop();
	await t.rejects(stat(path), { code: "ENOENT" });
});

t.test("a burst of tables causes few writes, and the newest is saved", async (t) => {
	const { clock, path, file } = await start(t);
	const tables = new Tables({ compile, clock });
	const stop = file().follow(tables);
	let renames = 0;
	await mkdir(join(path, ".."), { recursive: true });
	const watcher = watch(join(path, ".."), (event, name) => {
		if (event === "rename" && name === "table.json") renames++;
	});
	tables.confirm();
	for (let number = 1; number <= 100; number++) tables.put(tableOf(number));
	await stop();
	watcher.close();
	t.equal(JSON.parse(await readFile(path, "utf8")).version, tableOf(100).version);
	t.ok(renames <= 2, `${renames} writes`);
	t.same(await readdir(join(path, "..")), ["table.json"]);
});

/** Tables that come into force after a while, like those of control. */
const preparing = (clock: TablesOptions<string>["clock"] & object) =>
	new Tables({ compile, clock, prepare: async () => {} });

t.test("once a table is in force, no older one is on disk, even if a write fails", async (t) => {
	const { clock, path, file, folder, log } = await start(t);
	const tables = preparing(clock);
	const stop = file().follow(tables);
	t.teardown(stop);
	const onDisk = (): string | null => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : null);
	tables.confirm();
	await tables.take(tableOf(1));
	// Each except one comes while the previous one is still being written.
	for (const number of [2, 3, 2, 2, 4]) {
		const { version } = tableOf(number);
		await tables.take(tableOf(number), () => t.ok([null, version].includes(onDisk())));
		if (number === 3) await until(() => onDisk() === version);
	}
	await until(() => onDisk() === tableOf(4).version);
	await block(path);
	await tables.take(tableOf(5));
	t.equal(onDisk(), null);
	await until(() => log.lines.some((line) => line.startsWith("the last good table cannot be kept on disk")));
	t.equal(onDisk(), null, "so a crash leaves no table");
	await rm(`${path}.new`, { recursive: true });
	tables.lapse();
	await until(() => onDisk() === tableOf(5).version);
	t.same(await readdir(join(folder, "sidecar")), ["table.json"]);
});

t.test("a hanging disk does not delay a table, and is reported", async (t) => {
	const { clock, path, log } = await start(t);
	const tables = preparing(clock);
	let hangs = false;
	let goOn = (): void => {};
	const remove = (...file: Parameters<typeof removePrivate>): Promise<void> =>
		new Promise<void>((resolve) => {
			goOn = resolve;
			if (!hangs) resolve();
		}).then(() => removePrivate(...file));
	const stop = new TableFile(path, { log, clock, remove }).follow(tables);
	tables.confirm();
	await tables.take(tableOf(1));
	await until(() => existsSync(path));
	hangs = true;
	await tables.take(tableOf(2));
	t.equal(tables.newest?.version, tableOf(2).version);
	t.match(log.lines.at(-1), "the disk is slow: a restart may answer by the table before");
	hangs = false;
	goOn();
	await stop();
	t.equal(
		JSON.parse(await readFile(path, "utf8")).version,
		tableOf(2).version,
		"and it comes to the disk when that is well",
	);
});

t.test("a rejected table leaves the previous one on disk", async (t) => {
	const refuse = ({ version }: VersionedTable): string => {
		if (version === tableOf(2).version) throw new Error("refused");
		return version;
	};
	for (const refusing of [
		{ compile, prepare: async (given: VersionedTable) => void refuse(given) },
		{ compile: refuse, prepare: async () => {} },
	]) {
		const { clock, path, file } = await start(t);
		const tables = new Tables({ clock, ...refusing });
		const stop = file().follow(tables);
		tables.confirm();
		await tables.take(tableOf(1));
		await t.rejects(tables.take(tableOf(2)), /refused/);
		await stop();
		t.equal(JSON.parse(await readFile(path, "utf8")).version, tableOf(1).version);
	}
});
