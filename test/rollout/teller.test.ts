/** Whose gates are told of rollbacks first, while those of others hang. */
import t from "tap";
import { gateQuestion } from "../../src/rollout/gate.js";
import type { Untold, UntoldMessage, WebhookAnswer } from "../../src/rollout/ports.js";
import { Teller } from "../../src/rollout/teller.js";
import { outcome } from "../state/employment.js";
import { input } from "./example.js";

const question = gateQuestion(input({}), outcome(input({}).status), "after-rollback", 0);

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** What waits of one Experiment. */
const untold = (experiment: string, gates: number): readonly Untold[] =>
	Array.from({ length: gates }, (_, at) => ({ key: `${experiment}#${at}`, experiment }));

const message = (key: string): UntoldMessage => ({
	gate: { at: "after-rollback", url: `https://gate.example/${key}`, timeoutMs: 1_000 },
	question,
});

/** A Teller by a clock that stands, and what it asks, in order. */
function house(waiting: readonly Untold[], isReadable: (key: string) => boolean = () => true) {
	const held: string[] = [];
	const asked: string[] = [];
	const answers = new Map<string, (answer: WebhookAnswer) => void>();
	const box = new Map(waiting.map((one) => [one.key, one]));
	const time = { nowMs: 1_000 };
	const teller = new Teller({
		outbox: {
			untold: async () => [...box.values()],
			message: async (key) => {
				if (!isReadable(key)) throw new Error(`no ${key}`);
				return box.has(key) ? message(key) : null;
			},
			told: async (key) => void box.delete(key),
		},
		webhook: ({ url }) => {
			const key = url.replace("https://gate.example/", "");
			asked.push(key);
			return new Promise((resolve) => answers.set(key, resolve));
		},
		clock: { nowMs: () => time.nowMs, after: () => () => {} },
		report: () => {},
		holding: ({ message: why }) => void held.push(why),
	});
	teller.start();
	return {
		asked,
		held,
		teller,
		time,
		take: (key: string) => box.delete(key),
		put: (more: readonly Untold[]) => more.map((one) => box.set(one.key, one)),
		answer: async (key: string, ok: boolean) => {
			answers.get(key)?.(ok ? { ok } : { ok, why: "" });
			await settled();
		},
		/** What a look begins to tell. */
		look: async () => {
			const from = asked.length;
			await teller.look();
			await settled();
			return asked.slice(from);
		},
	};
}

t.test("gates that hang take a few places of their own namespace, and none of another's", async (t) => {
	const { look, put } = house([...untold("aaa/trap", 16), ...untold("aaa/trip", 16)]);
	t.equal((await look()).length, 4);
	t.same(await look(), [], "not one more, however often it is looked");
	put([...untold("victim", 1), ...untold("aab/trap", 1)]);
	t.same(await look(), ["victim#0", "aab/trap#0"]);
});

t.test("where all places are taken the next free one goes to who waits for a turn, not to who had it", async (t) => {
	const busy = Array.from({ length: 8 }, (_, at) => untold(`a${at}/trap`, 16));
	const { look, put, answer } = house(busy.flat());
	const first = await look();
	t.equal(first.length, 32);
	t.same(
		first.slice(0, 8),
		busy.map(([one]) => one?.key),
		"one each at first",
	);
	put([...untold("victim", 2), ...untold("zzz/late", 1)]);
	t.same(await look(), []);
	for (const key of ["a0/trap#0", "a0/trap#1", "a1/trap#0"]) await answer(key, false);
	t.same(await look(), ["a0/trap#4", "a1/trap#4", "victim#0"], "theirs comes round");
	for (const key of ["a0/trap#2", "a0/trap#3", "a1/trap#1"]) await answer(key, false);
	t.same(await look(), ["zzz/late#0", "a0/trap#5", "a1/trap#5"], "before who had one just now");
	for (const key of ["a0/trap#4", "zzz/late#0"]) await answer(key, true);
	t.same(await look(), ["victim#1", "a0/trap#6"]);
});

t.test("in a namespace what was not tried yet comes first, then what is due the longest", async (t) => {
	const { look, put, answer, time } = house(untold("team/b", 6));
	t.same(
		await look(),
		[0, 1, 2, 3].map((at) => `team/b#${at}`),
	);
	time.nowMs += 10;
	await answer("team/b#3", false);
	time.nowMs += 10;
	await answer("team/b#0", false);
	time.nowMs += 60_000;
	t.same(await look(), ["team/b#4", "team/b#5"]);
	put(untold("team/c", 1));
	for (const at of [1, 2]) await answer(`team/b#${at}`, true);
	t.same(await look(), ["team/c#0", "team/b#3"]);
	await answer("team/c#0", true);
	t.same(await look(), ["team/b#0"]);
});

t.test("what was given up since it was listed is not told, and takes no place", async (t) => {
	const { look, take, teller, asked } = house([...untold("team/a", 4), ...untold("team/b", 1)]);
	const looking = teller.look();
	for (let at = 0; at < 4; at++) take(`team/a#${at}`);
	await looking;
	await settled();
	t.same(asked, []);
	t.same(await look(), ["team/b#0"]);
});

t.test(
	"what cannot be read waits as what is not taken does, keeps no other from its place, and is warned of once",
	async (t) => {
		let isReadable = false;
		const { look, time, held, answer } = house(
			[...untold("team/bad", 4), ...untold("team/good", 1)],
			(key) => isReadable || key.startsWith("team/good"),
		);
		t.same(await look(), []);
		t.same(await look(), ["team/good#0"], "the others wait for their pause");
		await answer("team/good#0", true);
		for (let at = 0; at < 1_000; at++) {
			time.nowMs += 500;
			t.same(await look(), []);
		}
		t.same(held, ["no team/bad#0"]);
		isReadable = true;
		time.nowMs += 60_000;
		t.same(
			await look(),
			[0, 1, 2, 3].map((at) => `team/bad#${at}`),
		);
	},
);
