/** Work done one after the other, the subjects in turn. */

import { mock } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { type TurnBounds, Turns } from "../src/turns.js";

const bounds = {
	perSubject: 3,
	waiting: 4,
	refusal: (beyond: string) => new Error(beyond),
};

/** Work that ends when the test says so. */
function work(settle: () => Promise<unknown> = () => pause(1)) {
	const begun: string[] = [];
	const ends: (() => void)[] = [];
	const of = (name: string) => async (): Promise<string> => {
		begun.push(name);
		await new Promise<void>((resolve) => ends.push(resolve));
		return name;
	};
	const end = async (): Promise<void> => {
		ends.shift()?.();
		await settle();
	};
	return { begun, of, end };
}

/** With time that the test lets pass, and in order whom it refuses. */
function timed(t: Test, more: Partial<TurnBounds>) {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const turns = new Turns({ ...bounds, waitMs: 1_000, ...more });
	const { begun, of, end } = work(async () => new Promise(setImmediate));
	const { signal } = new AbortController();
	const refused: string[] = [];
	/** @param name that begins with its subject's */
	const ask = (name: string) =>
		turns.take(name.slice(0, 3), signal, of(name)).catch((error: Error) => refused.push(`${name}: ${error.message}`));
	return { turns, begun, end, refused, ask };
}

t.test("one at a time, the subjects in turn, and no more of each and of all than the bounds", async (t) => {
	const turns = new Turns(bounds);
	const { begun, of, end } = work();
	const over = new AbortController();
	const ask = (subject: string, name: string, signal = over.signal) => turns.take(subject, signal, of(name));
	const answers = [ask("ann", "ann1"), ask("ann", "ann2"), ask("ann", "ann3"), ask("bob", "bob1")];
	await t.rejects(ask("ann", "ann4"), { message: "perSubject" });
	const gone = new AbortController();
	const left = ask("eve", "eve1", gone.signal);
	await t.rejects(ask("eve", "eve2"), { message: "waiting" });
	gone.abort();
	t.equal(await left, null, "whose client has gone is not waited for");
	t.same(begun, ["ann1"]);
	for (let n = 0; n < 4; n++) await end();
	t.same(begun, ["ann1", "ann2", "bob1", "ann3"]);
	t.same(await Promise.all(answers), ["ann1", "ann2", "ann3", "bob1"]);
	await t.rejects(ask("ann", "ann4"), { message: "perSubject" }, "until its answers have ended");
	over.abort();
	t.equal(await turns.take("ann", over.signal, of("late")), null);
	const leaving = new AbortController();
	const begins = turns.take("ann", leaving.signal, of("late"));
	leaving.abort();
	t.equal(await Promise.race([begins, pause(100, "late")]), null, "who goes as its turn comes has gone");
	const again = turns.take("ann", new AbortController().signal, of("again"));
	await pause(1);
	await end();
	t.equal(await again, "again");
	t.notOk(begun.includes("late"));
});

t.test("where all places are taken who comes has one of whoever has most, whose newest is refused", async (t) => {
	const turns = new Turns({ ...bounds, waiting: 5 });
	const { begun, of, end } = work();
	const { signal } = new AbortController();
	const ask = (subject: string, name: string, over = signal) =>
		turns.take(subject, over, of(name)).catch((error: Error) => `${name}: ${error.message}`);
	const gone = new AbortController();
	const first = ask("zoe", "zoe1");
	const anns = [ask("ann", "ann1"), ask("ann", "ann2"), ask("ann", "ann3", gone.signal)];
	const bobs = [ask("bob", "bob1"), ask("bob", "bob2")];
	t.equal(await ask("dan", "dan0", AbortSignal.abort()), null, "nobody gives way to one whose client has gone");
	const dans = [ask("dan", "dan1")];
	t.equal(await anns[2], "ann3: waiting");
	gone.abort();
	t.equal(await ask("bob", "bob3"), "bob3: waiting", "not of one who would have no more than the newcomer then");
	t.equal(await ask("dan", "dan2"), "dan2: waiting");
	const eves = [ask("eve", "eve1")];
	t.equal(await anns[1], "ann2: waiting");
	const evas = [ask("eva", "eva1")];
	t.equal(await bobs[1], "bob2: waiting");
	t.equal(await ask("fay", "fay1"), "fay1: waiting", "so many subjects are too many");
	for (let n = 0; n < 6; n++) await end();
	t.same(begun, ["zoe1", "ann1", "bob1", "dan1", "eve1", "eva1"]);
	t.same(await Promise.all([first, anns[0], bobs[0], ...dans, ...eves, ...evas]), begun);
});

t.test("half of the time is left to others, also after work that fails", async (t) => {
	const turns = new Turns({ ...bounds, rests: true });
	const { signal } = new AbortController();
	const fromMs = performance.now();
	const failed = turns.take("ann", signal, async () => {
		await pause(200);
		throw new Error("no");
	});
	const next = turns.take("bob", signal, async () => performance.now() - fromMs);
	await t.rejects(failed, { message: "no" });
	// Its pause keeps no process alive.
	await pause(300);
	t.ok(Number(await next) >= 390, "as long as the last one took passes");
});

t.test("so many at once, of all and of each, and who waits too long is refused", async (t) => {
	const { turns, begun, end, refused, ask } = timed(t, { perSubject: 9, waiting: 2, atOnce: 3, atOncePerSubject: 2 });
	const anns = [ask("ann1"), ask("ann2"), ask("ann3"), ask("ann4")];
	const bob = ask("bob1");
	await new Promise(setImmediate);
	t.same(begun, ["ann1", "ann2", "bob1"], "whose place is free passes those that wait for their own");
	t.same(
		[...turns.underWay],
		[
			["ann", 2],
			["bob", 1],
		],
	);
	mock.timers.tick(999);
	t.same(refused, [], "and needs none of their places to wait in");
	const eve = ask("eve1");
	await anns[3];
	t.same(refused, ["ann4: waiting"]);
	mock.timers.tick(999);
	await new Promise(setImmediate);
	t.same(refused, ["ann4: waiting"], "ann3 waits for ann's own");
	mock.timers.tick(1);
	await eve;
	t.same(refused, ["ann4: waiting", "eve1: waiting"], "its time is over");
	await end();
	t.same(begun.slice(3), ["ann3"]);
	mock.timers.tick(1_000);
	for (let n = 0; n < 3; n++) await end();
	t.same(await Promise.all([...anns.slice(0, 3), bob]), ["ann1", "ann2", "ann3", "bob1"]);
	t.equal(turns.underWay.size, 0);
});

t.test("the time is of waiting for others', and begins anew after one's own", async (t) => {
	const { begun, end, refused, ask } = timed(t, { atOnce: 2, atOncePerSubject: 1 });
	const first = [ask("ann1"), ask("bob1"), ask("eve1"), ask("ann2")];
	await new Promise(setImmediate);
	mock.timers.tick(900);
	const later = ask("ann3");
	await end();
	t.same(begun, ["ann1", "bob1", "eve1"]);
	mock.timers.tick(999);
	await new Promise(setImmediate);
	t.same(refused, [], "not from when they came");
	await end();
	t.same(begun.slice(3), ["ann2"]);
	mock.timers.tick(3_000);
	await new Promise(setImmediate);
	t.same(refused, [], "ann3 waits for ann2, however long");
	const others = [ask("bob2"), ask("bob3")];
	await end();
	t.same(begun.slice(4), ["bob2"]);
	await end();
	t.same(begun.slice(5), ["ann3"]);
	const last = ask("eve2");
	mock.timers.tick(999);
	await new Promise(setImmediate);
	t.same(refused, []);
	mock.timers.tick(1);
	await last;
	t.same(refused, ["eve2: waiting"], "bob3 waits for bob's own");
	for (let n = 0; n < 3; n++) await end();
	t.same(await Promise.all([...first, later, ...others]), ["ann1", "bob1", "eve1", "ann2", "ann3", "bob2", "bob3"]);
});

t.test("nobody waits longer in all, behind its own neither, and nothing is left of whoever waited", async (t) => {
	const { turns, begun, end, refused, ask } = timed(t, { perSubject: 9, waitMsMax: 3_000 });
	const first = ask("ann1");
	const behind = [ask("ann2"), ask("ann3")];
	await new Promise(setImmediate);
	mock.timers.tick(2_999);
	await end();
	t.same(begun, ["ann1", "ann2"]);
	mock.timers.tick(1);
	await behind[1];
	t.same(refused, ["ann3: waiting"], "and whose turn has come is served, however long");
	await end();
	t.same(await Promise.all([first, behind[0]]), ["ann1", "ann2"]);
	t.equal(turns.underWay.size, 0);
});

t.test("whose turn has come, or who has gone, leaves no timer behind", async (t) => {
	const turns = new Turns({ ...bounds, waitMs: 60_000, waitMsMax: 60_000 });
	const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
	const { begun, of, end } = work(async () => new Promise(setImmediate));
	const gone = new AbortController();
	const before = timers();
	const taken = ["ann", "bob"].map((subject) => turns.take(subject, new AbortController().signal, of(subject)));
	const left = turns.take("eve", gone.signal, of("eve"));
	t.equal(timers() - before, 4, "of the two that wait");
	gone.abort();
	t.equal(timers() - before, 2);
	t.equal(await left, null);
	await end();
	t.same(begun, ["ann", "bob"]);
	t.equal(timers() - before, 0);
	await end();
	await Promise.all(taken);
});

t.test("however often its time is to run, it is one, and ends where it waits for its own", async (t) => {
	const { begun, end, refused, ask } = timed(t, { perSubject: 9, waiting: 9, atOnce: 3, atOncePerSubject: 2 });
	const others = ["bob1", "bob2", "eve1"].map(ask);
	const anns = ["ann1", "ann2", "ann3"].map(ask);
	await new Promise(setImmediate);
	mock.timers.tick(500);
	// Ann has a place and less than her share: those that wait go on to wait for others.
	await end();
	t.same(begun.slice(3), ["ann1"]);
	await end();
	t.same(begun.slice(4), ["ann2"]);
	mock.timers.tick(5_000);
	await new Promise(setImmediate);
	t.same(refused, [], "ann3 waits for ann's own, and no timer is left that ran before");
	for (let n = 0; n < 4; n++) await end();
	t.same(await Promise.all([...others, ...anns]), ["bob1", "bob2", "eve1", "ann1", "ann2", "ann3"]);
});

t.test("who had its share, and has no place any more, waits for others from then on", async (t) => {
	const { begun, end, refused, ask } = timed(t, { atOnce: 2, atOncePerSubject: 1 });
	const served = ["ann1", "bob1", "eve1"].map(ask);
	const late = ask("ann2");
	await new Promise(setImmediate);
	await end();
	t.same(begun, ["ann1", "bob1", "eve1"]);
	mock.timers.tick(1_000);
	await late;
	t.same(refused, ["ann2: waiting"]);
	for (let n = 0; n < 2; n++) await end();
	t.same(await Promise.all(served), ["ann1", "bob1", "eve1"]);
});
