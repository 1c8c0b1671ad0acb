/** A store of models: what it accepts, what it keeps, and what it finds changed. */
import { appendFile, mkdir, readdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ModelStore } from "../../../src/serve/registry/store.js";
import { temporaryDirectory } from "../../cli/command.js";

const ACTOR = { actor: "local:test", reason: "a test" };

async function folderOf(t: Test, name: string, files: Readonly<Record<string, string>>): Promise<string> {
	const folder = join(await temporaryDirectory(t), name);
	for (const [path, text] of Object.entries(files)) {
		await mkdir(join(folder, path, ".."), { recursive: true });
		await writeFile(join(folder, path), text);
	}
	return folder;
}

t.test("a pushed model is found by version, alias and digest, and its files come back", async (t) => {
	const directory = await temporaryDirectory(t);
	const store = new ModelStore(join(directory, "store"));
	const model = await folderOf(t, "m1", { "model.onnx": "weights", "data/more.bin": "more" });
	const pushed = await store.push("score", "1", model, ACTOR);
	t.match(pushed.digest, /^sha256:[0-9a-f]{64}$/);
	await store.moveAlias(pushed, "production", ACTOR);
	for (const text of ["score:1", "score@production", `score@${pushed.digest}`])
		t.same(await store.resolve(text), pushed, text);
	const to = join(directory, "out");
	await store.extract(await store.read(pushed), to);
	t.equal(await readFile(join(to, "model.onnx"), "utf8"), "weights");
	t.equal(await readFile(join(to, "data/more.bin"), "utf8"), "more");
	t.same(await store.push("score", "1", model, ACTOR), pushed, "the same bytes again change nothing");
	t.equal((await store.versions("score")).length, 1);
	t.same((await store.push("score", "1-copy", model, ACTOR)).digest, pushed.digest, "the identity is the digest");
});

t.test("the same version with other bytes is refused", async (t) => {
	const store = new ModelStore(join(await temporaryDirectory(t), "store"));
	await store.push("score", "1", await folderOf(t, "a", { "model.onnx": "a" }), ACTOR);
	await t.rejects(store.push("score", "1", await folderOf(t, "b", { "model.onnx": "b" }), ACTOR), {
		code: "already-exists",
	});
});

t.test("links and unsafe names are refused", async (t) => {
	const store = new ModelStore(join(await temporaryDirectory(t), "store"));
	const linked = await folderOf(t, "linked", { "model.onnx": "a" });
	await symlink("/etc/hostname", join(linked, "notes.txt"));
	await t.rejects(store.push("score", "1", linked, ACTOR), { code: "invalid-argument", message: /symbolic link/ });
	const odd = await folderOf(t, "odd", { "a\\b.onnx": "a" });
	await t.rejects(store.push("score", "1", odd, ACTOR), { code: "invalid-argument", message: /backslash/ });
	for (const name of ["../score", "a/b", "", ".hidden"])
		await t.rejects(store.push(name, "1", odd, ACTOR), { code: "invalid-argument" }, name);
	t.same(await store.names(), [], "nothing was stored");
});

t.test("a changed, a missing and a cut file are named", async (t) => {
	const directory = await temporaryDirectory(t);
	const store = new ModelStore(join(directory, "store"));
	const pushed = await store.push(
		"score",
		"1",
		await folderOf(t, "m", { "model.onnx": "weights", "b.bin": "b" }),
		ACTOR,
	);
	const stored = await store.read(pushed);
	for (const { path, digest } of stored.files) {
		const blob = join(directory, "store/score/blobs/sha256", digest.slice(7));
		const bytes = await readFile(blob);
		await writeFile(blob, "other");
		await t.rejects(store.extract(stored, join(directory, `out-${path}`)), { message: new RegExp(`file ${path} `) });
		await writeFile(blob, bytes);
	}
	await store.extract(stored, join(directory, "whole"));
	const manifest = join(directory, "store/score/blobs/sha256", pushed.digest.slice(7));
	await appendFile(manifest, " ");
	await t.rejects(store.read(pushed), { code: "failed-precondition", message: /were changed/ });
});

t.test("an alias moves by compare-and-swap, and rolls back without a version", async (t) => {
	let nowMs = Date.parse("2026-01-01T00:00:00Z");
	const store = new ModelStore(join(await temporaryDirectory(t), "store"), { nowMs: () => nowMs });
	const models = [];
	for (const version of ["1", "2", "3"]) {
		nowMs += 60_000;
		const model = await store.push("score", version, await folderOf(t, version, { "m.onnx": version }), ACTOR);
		models.push(model);
		await store.moveAlias(model, "production", ACTOR);
	}
	const [first, second, third] = models.map(({ digest }) => digest);
	const production = async () => (await store.aliases("score")).get("production");
	await t.rejects(
		store.moveAlias(await store.resolve("score:1"), "production", { ...ACTOR, expected: second ?? null }),
		{
			code: "conflict",
		},
	);
	t.equal(await production(), third, "nothing moved");
	await store.rollback("score", "production", ACTOR);
	t.equal(await production(), second);
	await store.rollback("score", "production", ACTOR);
	t.equal(await production(), first);
	await t.rejects(store.rollback("score", "production", ACTOR), { code: "failed-precondition" });
	t.equal((await store.aliases("score", Date.parse("2026-01-01T00:02:30Z"))).get("production"), second, "as it was");
	t.equal((await store.moves("score")).length, 5, "a rollback is a move of its own");
});

t.test("of two that move an alias at once one is refused", async (t) => {
	const store = new ModelStore(join(await temporaryDirectory(t), "store"));
	const model = await store.push("score", "1", await folderOf(t, "m", { "m.onnx": "1" }), ACTOR);
	const settled = await Promise.allSettled(
		Array.from({ length: 8 }, () => store.moveAlias(model, "production", { ...ACTOR, expected: null })),
	);
	t.equal(settled.filter(({ status }) => status === "fulfilled").length, 1);
});

t.test("a changed line of the log is found, and half a line of a killed writer is not", async (t) => {
	const directory = join(await temporaryDirectory(t), "store");
	const store = new ModelStore(directory);
	const model = await store.push("score", "1", await folderOf(t, "m", { "m.onnx": "1" }), ACTOR);
	await store.moveAlias(model, "production", ACTOR);
	const path = join(directory, "log.jsonl");
	await appendFile(path, '{"specversion":"1.0","id":"3"');
	t.equal((await store.events()).length, 2);
	await store.moveAlias(model, "champion", ACTOR);
	t.equal((await store.events()).length, 3, "the half line is gone");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace("local:test", "local:none"));
	await t.rejects(store.events(), { code: "failed-precondition", message: /log\.jsonl:2: / });
	await t.rejects(store.resolve("score@production"), { code: "failed-precondition" }, "an alias of a changed log");
	await writeFile(path, text);
	await truncate(path, text.indexOf("\n") + 1);
	t.equal((await store.events()).length, 1);
});

t.test("gc removes what no alias has named, and keeps the rest whole", async (t) => {
	const directory = await temporaryDirectory(t);
	const store = new ModelStore(join(directory, "store"));
	const kept = await store.push("score", "1", await folderOf(t, "1", { "m.onnx": "1" }), ACTOR);
	const unused = await store.push("score", "2", await folderOf(t, "2", { "m.onnx": "2" }), ACTOR);
	await store.moveAlias(kept, "production", ACTOR);
	await store.addStatement(unused, "application/vnd.test+json", Buffer.from('{"about":2}'));
	await store.addStatement(kept, "application/vnd.test+json", Buffer.from('{"about":1}'));
	const now = { keepSinceMs: Date.now() + 1, remove: false };
	t.match(await store.gc(ACTOR, now), { removed: [{ version: "2" }] });
	t.equal((await store.versions("score")).length, 2, "only said");
	await store.gc(ACTOR, { ...now, remove: true });
	t.same(
		(await store.versions("score")).map(({ version }) => version),
		["1"],
	);
	t.same((await store.statements(kept, "application/vnd.test+json")).map(String), ['{"about":1}']);
	await store.extract(await store.read(kept), join(directory, "out"));
	const blobs = await readdir(join(directory, "store/score/blobs/sha256"));
	t.equal(blobs.length, 6, "model: manifest, config, file; statement: manifest, {}, document");
});
