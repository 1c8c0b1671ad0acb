/** The probe's memory as a file: one that cannot be read, or written, is an alarm. */
import { rmSync } from "node:fs";
import { access, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mock } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import type { ProbeMemory } from "../../src/probe/memory.js";
import { MemoryShelf } from "../../src/probe/memoryShelf.js";
import { temporaryDirectory } from "../cli/command.js";

const NOTHING: ProbeMemory = {
	reading: null,
	judged: { standing: [], owed: new Map(), changed: new Set() },
	past: { standing: [], owed: new Map(), changed: false },
	raised: new Map(),
};

t.test("one that is there is read again, and none is no alarm", async (t) => {
	const file = join(await temporaryDirectory(t), "memory");
	const well = () => t.fail("it was well all along");
	const shelf = new MemoryShelf(file, (why) => t.fail(why), well);
	t.equal(await shelf.recall(), null);
	shelf.keep(NOTHING);
	await shelf.close();
	t.same(await new MemoryShelf(file, (why) => t.fail(why)).recall(), NOTHING);
	t.same(await shelf.alarms(), []);
});

t.test("one that cannot be read is laid aside, and an alarm until somebody has removed it", async (t) => {
	const file = join(await temporaryDirectory(t), "memory");
	await writeFile(file, "torn");
	const told: string[] = [];
	const shelf = new MemoryShelf(file, (why) => told.push(why));
	t.equal(await shelf.recall(), null);
	t.same(told, ["it is cut off"]);
	t.same(await shelf.alarms(), [{ alarm: "probe-memory-lost", gateway: "" }]);
	shelf.keep(NOTHING);
	await shelf.close();
	const next = new MemoryShelf(file, (why) => t.fail(why));
	t.not(await next.recall(), null);
	t.same(await next.alarms(), [{ alarm: "probe-memory-lost", gateway: "" }], "a restart does not end it");
	t.equal(await readFile(`${file}.lost`, "utf8"), "torn");
	await rm(`${file}.lost`);
	t.same(await next.alarms(), []);
});

t.test("one that cannot be written is an alarm until it can be", async (t) => {
	const file = join(await temporaryDirectory(t), "memory");
	await mkdir(join(file, "in the way"), { recursive: true });
	const told: string[] = [];
	const shelf = new MemoryShelf(file, (why) => told.push(why));
	for (let round = 0; round < 2; round++) {
		shelf.keep(NOTHING);
		await shelf.close();
	}
	t.equal(told.length, 1, "told once");
	t.same(await shelf.alarms(), [{ alarm: "probe-memory-unwritten", gateway: "" }]);
	await rmdir(join(file, "in the way"));
	await rmdir(file);
	shelf.keep(NOTHING);
	await shelf.close();
	t.same(await shelf.alarms(), []);
	await access(file);
});

t.test("what could not be written is tried again before the next round, and said when it is", async (t) => {
	const file = join(await temporaryDirectory(t), "memory");
	await mkdir(file);
	let well = (): void => {};
	const isWell = new Promise<void>((resolve) => {
		well = resolve;
	});
	const shelf = new MemoryShelf(file, () => {}, well);
	shelf.keep(NOTHING);
	while ((await shelf.alarms()).length === 0) await pause(20);
	await rmdir(file);
	await isWell;
	t.same(await shelf.alarms(), []);
	await access(file);
	await shelf.close();
});

t.test("an older one that could not be written is not written over a newer one", async (t) => {
	const file = join(await temporaryDirectory(t), "memory");
	await mkdir(file);
	let well = (): void => {};
	const isWell = new Promise<void>((resolve) => {
		well = resolve;
	});
	const { timers } = mock;
	timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => timers.reset());
	const shelf = new MemoryShelf(file, () => rmSync(file, { recursive: true }), well);
	shelf.keep(NOTHING);
	const newer: ProbeMemory = { ...NOTHING, past: { ...NOTHING.past, changed: true } };
	shelf.keep(newer);
	await isWell;
	timers.tick(60_000);
	await shelf.close();
	t.same(await shelf.recall(), newer);
});
