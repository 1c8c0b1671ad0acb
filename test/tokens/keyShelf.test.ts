/** Key sets that outlive a process: by whom, for how long, and of which files nothing is believed. */
import { randomUUID } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { replacePrivate } from "../../src/privateFile.js";
import type { KeySource } from "../../src/resources/resource.js";
import { readKeySet } from "../../src/tokens/keySet.js";
import { KeyShelf } from "../../src/tokens/keyShelf.js";
import { temporaryDirectory } from "../cli/command.js";
import { CLAIMS, issuerOf, jwksBytes, keyPair, publicJwk, Scene, signed } from "./issuer.js";

const [first, second] = [await keyPair(), await keyPair("RS256")];
const [k1, k2] = [await publicJwk(first, { kid: "k1" }), await publicJwk(second, { kid: "k2" })];
const byFirst = await signed(CLAIMS, first);
const url = (path = "k"): KeySource => ({ from: "url", url: `https://id.test/${path}`, caFile: null });
const down = (): Promise<never> => Promise.reject(new Error("down"));
const bytesOf = (...keys: readonly object[]): Uint8Array => Buffer.from(JSON.stringify({ keys }));

/** A folder, and shelves on it as processes that come one after the other have them. */
async function folder(t: Test) {
	const directory = join(await temporaryDirectory(t), "data", "keys");
	const troubles: string[] = [];
	const clock = { nowMs: Date.now() };
	let written = 0;
	const replace: typeof replacePrivate = (...file) => replacePrivate(...file).finally(() => written++);
	const open = (): KeyShelf => {
		const shelf = KeyShelf.open(directory, {
			onTrouble: (why) => troubles.push(why),
			wallMs: () => clock.nowMs,
			replace,
		});
		if (shelf === null) throw new Error(troubles.join());
		return shelf;
	};
	const files = async (): Promise<readonly string[]> =>
		(await readdir(directory)).filter((name) => name.endsWith(".json")).map((name) => join(directory, name));
	/** What is written is there soon. */
	const holds = async (check: (texts: readonly string[]) => boolean): Promise<void> => {
		while (!check(await Promise.all((await files()).map((file) => readFile(file, "utf8").catch(() => "")))))
			await pause(5);
	};
	return { directory, troubles, clock, open, files, holds, written: () => written };
}

t.test("a set is the same after a restart, as old as it is, and nothing of it is secret", async (t) => {
	const { clock, open, files, holds, directory, troubles } = await folder(t);
	const answer = bytesOf({ ...k1, d: "secret" }, k2, k1, { kty: "oct", k: "secret" }, { ...k1, note: "x", kid: "k3" });
	t.equal(open().of(url()).recall(), null);
	open().of(url()).keep(answer);
	await holds(([text]) => text?.includes("k3") === true);
	const [file = ""] = await files();
	t.notMatch(await readFile(file, "utf8"), /secret|note/);
	t.equal((await stat(file)).mode & 0o777, 0o600);
	t.equal((await stat(directory)).mode & 0o777, 0o700);
	clock.nowMs += 5_000;
	const found = open().of(url()).recall();
	t.equal(found?.ageMs, 5_000);
	t.same(readKeySet(found?.bytes ?? Buffer.of())?.keys, readKeySet(answer)?.keys);
	t.equal(open().of(url("other")).recall(), null, "nobody else's");
	t.equal(open().of({ from: "url", url: "https://id.test/k", caFile: "/ca.pem" }).recall(), null, "nor by other trust");
	t.equal(open().of({ from: "file", file: "https://id.test/k" }).recall(), null);
	t.same(troubles, []);
});

t.test("it is written when it changes, or when its time is needed", async (t) => {
	const { clock, open, holds, files } = await folder(t);
	const kept = open().of(url());
	kept.keep(jwksBytes([k1]));
	const at = (ms: number) => holds(([text]) => text?.includes(`"hadAtMs":${ms},`) === true);
	await at(clock.nowMs);
	const before = clock.nowMs;
	for (let look = 0; look < 20; look++) {
		clock.nowMs += 2_000;
		kept.keep(jwksBytes([k1]));
	}
	await pause(50);
	await at(before);
	clock.nowMs += 20_000;
	kept.keep(jwksBytes([k1]));
	await at(clock.nowMs);
	clock.nowMs += 2_000;
	kept.keep(jwksBytes([k2]));
	await at(clock.nowMs);
	t.match(await readFile((await files())[0] ?? "", "utf8"), /"k2"/);
	kept.keep(jwksBytes([]));
	await holds(([text]) => text?.includes('"keys":[]') === true);
	t.equal(open().of(url()).recall(), null, "an issuer that has taken back its keys has none after a restart either");
	kept.keep(jwksBytes([k1]));
	kept.forget();
	await pause(100);
	t.same(await files(), [], "nor has one that nobody names any more, whatever was being written");
});

t.test("an answer of a look that began earlier brings nothing back", async (t) => {
	const { clock, open, holds, files, troubles, written } = await folder(t);
	const [quick, slow] = [open().of(url()), open().of(url())];
	const kept = async (): Promise<string> => readFile((await files())[0] ?? "", "utf8");
	const writes = async (count: number): Promise<void> => {
		while (written() < count) await pause(5);
		t.equal(written(), count);
	};
	slow.keep(jwksBytes([k1, k2]));
	await writes(1);
	clock.nowMs += 4_000;
	quick.keep(jwksBytes([k2]));
	await writes(2);
	clock.nowMs += 1_000;
	slow.keep(jwksBytes([k1]), 1_001);
	// Of one process one after the other.
	clock.nowMs += 1_000;
	slow.keep(jwksBytes([k1, k2]));
	await writes(3);
	t.match(await kept(), /"k1"/, "what it says later counts");

	clock.nowMs += 4_000;
	quick.keep(jwksBytes([]));
	await writes(4);
	clock.nowMs += 1_000;
	slow.keep(jwksBytes([k1]), 1_001);
	slow.keep(jwksBytes([k2]), 1_000);
	await writes(5);
	t.notMatch(await kept(), /"k1"/, "nor what was taken away");

	clock.nowMs -= 3_600_000;
	quick.keep(jwksBytes([k1]));
	await holds(([text]) => text?.includes('"k1"') === true);
	t.equal(open().of(url()).recall()?.ageMs, 0, "a clock that was set back holds nothing up");
	t.same(troubles, []);
});

t.test("what is torn, foreign, of the future or open to others is told and counts as none", async (t) => {
	const { clock, open, files, holds, troubles } = await folder(t);
	open()
		.of(url())
		.keep(jwksBytes([k1]));
	await holds(([text]) => text?.includes("k1") === true);
	const [file = ""] = await files();
	const good = await readFile(file, "utf8");
	const told = async (text: string): Promise<string> => {
		await writeFile(file, text, { mode: 0o600 });
		troubles.length = 0;
		t.equal(open().of(url()).recall(), null);
		return troubles.join();
	};
	t.match(await told(good.slice(0, -20)), /keys\/[0-9a-f]{64}\.json: it is not JSON/);
	t.match(await told(""), /not JSON/);
	t.match(await told("null"), /of format 1/);
	t.match(await told(good.replace('"format":1', '"format":2')), /of format 1/);
	t.match(await told(good.replace("id.test", "id.evil")), /another source's/);
	t.match(await told(good.replace(/"hadAtMs":\d+/, '"hadAtMs":"1"')), /no time/);
	t.match(await told(good.replace(/"x":"./, '"x":"!')), /harmed/);
	t.match(await told(good.replace(/"keys":.*/, '"keys":[{}]}')), /harmed/);
	t.match(await told(good.padEnd(600_000)), /600000 bytes/);
	clock.nowMs -= 5_001;
	t.match(await told(good), /future/);
	clock.nowMs += 2;
	await writeFile(file, good);
	t.equal(open().of(url()).recall()?.ageMs, 0, "a little of it is a clock's");
	await chmod(file, 0o622);
	t.match(await told(good), /others can write it/);
});

t.test("what is too old to be believed does not stay, and what is no file of ours does", async (t) => {
	const { clock, open, files, holds, directory } = await folder(t);
	open()
		.of(url())
		.keep(jwksBytes([k1]));
	await holds(([text]) => text?.includes("k1") === true);
	const [file = ""] = await files();
	const other = join(directory, "notes.txt");
	const aside = `${file}.${randomUUID()}.new`;
	for (const path of [aside, other]) await writeFile(path, "{");
	const old = (clock.nowMs - 3_600_001) / 1_000;
	for (const path of [file, aside, other]) await utimes(path, old, old);
	open();
	t.same(await readdir(directory), ["notes.txt"]);
});

t.test("a folder that others can enter, or none, is told, and there is no shelf", async (t) => {
	const directory = join(await temporaryDirectory(t), "keys");
	const troubles: string[] = [];
	const open = () => KeyShelf.open(directory, { onTrouble: (why) => troubles.push(why) });
	await mkdir(directory, { mode: 0o755 });
	t.equal(open(), null);
	t.match(troubles.join(), /other users can enter/);
	await chmod(directory, 0o700);
	t.not(open(), null);
	const kept = open()?.of(url());
	await mkdir(join(directory, "x"));
	t.equal(kept?.recall(), null);
});

t.test("several processes at once: one of their sets, whole", async (t) => {
	const { open, files, holds, troubles, directory, written } = await folder(t);
	const each = [open(), open(), open(), open()].map((shelf) => shelf.of(url()));
	const sets = [[k1], [k2], [k1, k2]].map((keys) => jwksBytes(keys));
	for (let round = 0; round < 60; round++)
		for (const [at, kept] of each.entries()) kept.keep(sets[(round + at) % 3] ?? Buffer.of());
	await holds((texts) => texts.length === 1);
	for (let round = 0; round < 100; round++) {
		const found = open().of(url()).recall();
		t.ok(readKeySet(found?.bytes ?? Buffer.of())?.keys.length);
		await pause(5);
	}
	while (written() < 60 * each.length) await pause(5);
	t.equal((await readdir(directory)).length, 1);
	t.equal((await files()).length, 1);
	t.same(troubles, []);
});

t.test("the sidecar verifies by them while the issuer is down, no longer than a process would have", async (t) => {
	const { clock, open } = await folder(t);
	const declared = [issuerOf({ keys: url() })];
	const scene = (load: Scene["keys"]): Scene => {
		const shelf = open();
		return new Scene(load, declared, { kept: (source) => shelf.of(source) });
	};
	const before = scene(() => jwksBytes([k1]));
	t.equal(await before.said(byFirst), "ok ann");
	while (open().of(url()).recall() === null) await pause(5);

	clock.nowMs += 300_000;
	const next = scene(down);
	t.equal(await next.said(byFirst), "ok ann");
	t.equal(next.loads, 1, "and the issuer is asked at once");
	next.monotonicMs = 3_300_001;
	t.match(await next.said(byFirst), /^invalid/, "an hour after they were had, whoever had them");
	clock.nowMs += 3_300_001;
	t.match(await scene(down).said(byFirst), /^invalid/, "nor after another restart");

	const back = scene(() => jwksBytes([k1]));
	t.equal(await back.said(byFirst), "ok ann");
	while ((open().of(url()).recall()?.ageMs ?? 1) > 0) await pause(5);
	back.verifier.use([{ name: "gw", issuers: [] }]);
	const again = scene(down);
	t.match(await again.said(byFirst), /^invalid/, "an issuer that was taken away has left nothing");
});

t.test("what cannot be written is told once, and what was there before is gone", async (t) => {
	const { directory, troubles, open, holds, files } = await folder(t);
	let isFull = false;
	let writes = 0;
	const kept = KeyShelf.open(directory, {
		onTrouble: (why) => troubles.push(why),
		replace: (...file) => {
			writes++;
			return isFull ? Promise.reject(new Error("the disk is full")) : replacePrivate(...file);
		},
	})?.of(url());
	kept?.keep(jwksBytes([k1]));
	await holds(([text]) => text?.includes("k1") === true);
	isFull = true;
	kept?.keep(jwksBytes([k2]));
	await holds((texts) => texts.length === 0);
	kept?.keep(jwksBytes([k2]));
	await pause(20);
	t.same(troubles, ["the disk is full"]);
	t.same(await files(), []);
	isFull = false;
	kept?.keep(jwksBytes([k2]));
	await holds(([text]) => text?.includes("k2") === true);
	t.not(open().of(url()).recall(), null);
	const before = writes;
	kept?.forget();
	kept?.keep(jwksBytes([k1]));
	await pause(20);
	t.equal(writes, before, "what nobody names any more is not written, though it was still being looked for");
});
