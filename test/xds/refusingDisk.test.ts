/** What was sent, and by what Services are bound, on a disk that does not take all of it. */
import { once } from "node:events";
import { mkdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { EncodedResource } from "../../src/xds/resource.js";
import type { Snapshot } from "../../src/xds/snapshot.js";
import type { ViewShelf } from "../../src/xds/viewShelf.js";
import { boundBy, many, refusing, shelfIn } from "./shelfScene.js";

t.test(
	"by what Services are bound is there before what was sent, and is tried again where it was refused",
	async (t) => {
		const { directory, open, troubles, files } = await shelfIn(t);
		const [first, second, third] = many as [Snapshot, Snapshot, Snapshot];
		const fileOf = ({ versions }: Snapshot) => `endpoints-${versions.endpoints}.2.pb`;
		const shelf = await open();
		const keep = ({ versions, views }: Snapshot) => shelf.keep("endpoints", versions.endpoints, views.endpoints);
		const isBoundBy = async () => (await open()).residents.get("model")?.spec.dataClass;
		shelf.keepResidents(boundBy(null));
		await shelf.close();
		await refusing(join(directory, "residents.json"), async () => {
			shelf.keepResidents(boundBy("health"));
			keep(first);
			await shelf.close();
			keep(first);
			await shelf.close();
			t.notOk((await files()).includes(fileOf(first)));
			t.match(troubles, [/residents\.json cannot be written/]);
			t.equal(troubles.length, 1);
		});
		keep(second);
		await shelf.close();
		t.same(await files(), [fileOf(first), fileOf(second), "residents.json"].sort());
		t.equal(await isBoundBy(), "health");

		await refusing(join(directory, "residents.json"), async () => {
			shelf.keepResidents(boundBy("pay"));
			await shelf.close();
			t.equal(troubles.length, 2, "it was well meanwhile");
		});
		await shelf.close();
		t.equal(await isBoundBy(), "pay", "at the end");

		shelf.keepResidents(boundBy("health"));
		await new Promise(setImmediate);
		shelf.keepResidents(boundBy("card"));
		await shelf.close();
		t.equal(await isBoundBy(), "card", "while the one before is written");

		await refusing(join(directory, fileOf(third)), async () => {
			for (let again = 0; again < 3; again++) {
				shelf.keepResidents(boundBy(again === 0 ? "health" : "pay"));
				keep(third);
				await shelf.close();
			}
			t.equal(troubles.length, 3, "another file's trouble");
		});
	},
);

t.test("what a disk refused is tried again by itself, and that all is there is told", async (t) => {
	const { directory, open, troubles, well, files } = await shelfIn(t);
	const [{ versions, views }] = many as [Snapshot];
	const file = `endpoints-${versions.endpoints}.2.pb`;
	const shelf = await open();
	let told = 0;
	well.on("told", () => told++);
	for (const [refused, at] of [
		["residents.json", 1],
		[file, 2],
		[file, 3],
	] as const) {
		await refusing(join(directory, refused), async () => {
			shelf.keepResidents(boundBy(`class-${at}`));
			shelf.keep("endpoints", versions.endpoints, views.endpoints);
			while (troubles.length < at) await new Promise(setImmediate);
			t.notOk((await files()).includes(refused));
		});
		await once(well, "told");
		t.same(await files(), [file, "residents.json"]);
		t.equal((await open()).residents.get("model")?.spec.dataClass, `class-${at}`);
		t.same([troubles.length, told], [at, at], refused);
		await rm(join(directory, file));
	}
});

t.test(
	"what Services were bound by before is not there any more where what they are bound by is refused",
	async (t) => {
		const { directory, open, files } = await shelfIn(t);
		const shelf = await open();
		shelf.keepResidents(boundBy(null));
		await shelf.close();
		await refusing(join(directory, "residents.json"), async () => {
			shelf.keepResidents(boundBy("health"));
			await shelf.close();
			t.same(await files(), ["residents.json.new"]);
		});
		shelf.keepResidents(boundBy(null));
		await shelf.close();
		t.equal((await open()).residents.get("model")?.spec.dataClass, null, "back to what was there before");
	},
);

t.test("by what Services are bound is tried again by itself where no view is due", async (t) => {
	const { directory, open, troubles, well, files } = await shelfIn(t);
	const shelf = await open();
	let told = 0;
	well.on("told", () => told++);
	await refusing(join(directory, "residents.json"), async () => {
		shelf.keepResidents(boundBy("health"));
		while (troubles.length === 0) await new Promise(setImmediate);
		t.equal(told, 0);
	});
	await once(well, "told");
	t.same(await files(), ["residents.json"]);
	t.equal((await open()).residents.get("model")?.spec.dataClass, "health");
});

t.test("a disk that refuses a view is asked for one at a time, in turn, and for the others first", async (t) => {
	const { directory, open, files } = await shelfIn(t);
	const [first, second] = many as [Snapshot, Snapshot];
	const made: string[] = [];
	/** Notes when it is made whole. */
	class Counted extends Map<string, EncodedResource> {
		constructor(
			readonly of: string,
			view: Snapshot["views"]["endpoints"],
		) {
			super(view);
		}
		override values() {
			made.push(this.of);
			return super.values();
		}
	}
	const shelf = await open();
	const keep = (name: string, { versions, views }: Snapshot) =>
		shelf.keep("endpoints", versions.endpoints, new Counted(name, views.endpoints));
	const fileOf = ({ versions }: Snapshot) => `endpoints-${versions.endpoints}.2.pb`;
	await refusing(join(directory, fileOf(first)), async () => {
		await refusing(join(directory, fileOf(second)), async () => {
			keep("first", first);
			keep("second", second);
			for (let round = 0; round < 4; round++) await shelf.close();
			t.same(made, ["first", "second", "first", "second"]);
		});
		await shelf.close();
		t.same(made.splice(4), ["first"]);
		await shelf.close();
		t.same(made.splice(4), ["second", "first"]);
		t.ok((await files()).includes(fileOf(second)));
	});
	await shelf.close();
	t.same(await files(), [fileOf(first), fileOf(second)].sort());
});

t.test("once closed it tries nothing again", async (t) => {
	const { directory, open, troubles } = await shelfIn(t);
	const shelf = await open();
	const timers = new Set<unknown>();
	const [set, clear] = [setTimeout, clearTimeout];
	t.intercept(globalThis, "setTimeout", {
		value: (run: () => void, ms?: number) => {
			const timer = set(() => {
				timers.delete(timer);
				run();
			}, ms);
			timers.add(timer);
			return timer;
		},
	});
	t.intercept(globalThis, "clearTimeout", {
		value: (timer: NodeJS.Timeout) => {
			timers.delete(timer);
			clear(timer);
		},
	});
	await refusing(join(directory, "residents.json"), async () => {
		shelf.keepResidents(boundBy("health"));
		while (troubles.length === 0 || timers.size === 0) await new Promise(setImmediate);
		await shelf.close();
		t.equal(timers.size, 0);
	});
});

t.test("what cannot be read tells nothing of writing, and what cannot be written says why", async (t) => {
	const { directory, open, troubles, well, files } = await shelfIn(t);
	const [first, second] = many as [Snapshot, Snapshot];
	const file = join(directory, "residents.json");
	const keep = async (shelf: ViewShelf, { versions, views }: Snapshot) => {
		shelf.keep("endpoints", versions.endpoints, views.endpoints);
		await shelf.close();
	};
	await keep(await open(), first);
	await truncate(join(directory, (await files())[0] ?? ""), 5);
	await writeFile(file, "[");
	const shelf = await open();
	t.equal(shelf.find("endpoints", first.versions.endpoints), null);
	t.match(troubles, [/residents\.json cannot be read/, /./]);
	let told = 0;
	well.on("told", () => told++);
	shelf.keepResidents(boundBy("health"));
	await keep(shelf, second);
	t.same([troubles.length, told], [2, 0], "all was written");
	await rm(file);
	await mkdir(file);
	await refusing(file, async () => {
		shelf.keepResidents(boundBy("pay"));
		await shelf.close();
	});
	t.match(troubles.slice(2), [/residents\.json\.new/], "not why what was there stays");
});

t.test("what is there already is not written again", async (t) => {
	const { directory, open, well } = await shelfIn(t);
	well.on("told", () => t.fail("it was well all along"));
	const file = join(directory, "residents.json");
	const shelf = await open();
	shelf.keepResidents(boundBy("health"));
	await shelf.close();
	const { ino } = await stat(file);
	for (const one of [shelf, await open()]) {
		one.keepResidents(boundBy("health"));
		await one.close();
		t.equal((await stat(file)).ino, ino);
	}
});
