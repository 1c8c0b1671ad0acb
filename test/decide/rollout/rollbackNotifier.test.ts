/** The order of rollback notifications. */
import t from "tap";
import { gateQuestion } from "../../../src/decide/rollout/gate.js";
import type { NotificationMessage, PendingNotification, WebhookAnswer } from "../../../src/decide/rollout/ports.js";
import { GATE_NOTIFICATIONS_AT_ONCE_MAX, RollbackNotifier } from "../../../src/decide/rollout/rollbackNotifier.js";
import { outcome } from "../../operate/employment.js";
import { input } from "./example.js";

const question = gateQuestion(input({}), outcome(input({}).status), "after-rollback", 0);

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** The waiting notifications of one Experiment. */
const pending = (experiment: string, gates: number): readonly PendingNotification[] =>
	Array.from({ length: gates }, (_, at) => ({ key: `${experiment}#${at}`, experiment }));

const message = (key: string): NotificationMessage => ({
	gate: { at: "after-rollback", url: `https://gate.example/${key}`, timeoutMs: 1_000 },
	question,
});

/** A RollbackNotifier with a manual clock, and its requests in order. */
function house(waiting: readonly PendingNotification[], isReadable: (key: string) => boolean = () => true) {
	const held: string[] = [];
	const asked: string[] = [];
	const answers = new Map<string, (answer: WebhookAnswer) => void>();
	const box = new Map(waiting.map((one) => [one.key, one]));
	const time = { nowMs: 1_000 };
	const notifier = new RollbackNotifier({
		outbox: {
			pending: async () => [...box.values()],
			message: async (key) => {
				if (!isReadable(key)) throw new Error(`no ${key}`);
				return box.has(key) ? message(key) : null;
			},
			delivered: async (key) => void box.delete(key),
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
	notifier.start();
	return {
		asked,
		held,
		notifier,
		time,
		take: (key: string) => box.delete(key),
		put: (more: readonly PendingNotification[]) => more.map((one) => box.set(one.key, one)),
		answer: async (key: string, ok: boolean) => {
			answers.get(key)?.(ok ? { ok } : { ok, why: "" });
			await settled();
		},
		/** The notifications that a look starts to send. */
		look: async () => {
			const from = asked.length;
			await notifier.look();
			await settled();
			return asked.slice(from);
		},
	};
}

t.test("notifications have limited concurrency; untried ones go first, then the longest overdue", async (t) => {
	const { look, put, answer, time } = house(pending("b", GATE_NOTIFICATIONS_AT_ONCE_MAX + 1));
	const first = await look();
	t.equal(first.length, GATE_NOTIFICATIONS_AT_ONCE_MAX);
	t.same(await look(), [], "not more, for any number of ticks");
	time.nowMs += 10;
	await answer("b#3", false);
	time.nowMs += 10;
	await answer("b#0", false);
	time.nowMs += 60_000;
	put(pending("c", 1));
	t.same(await look(), [`b#${GATE_NOTIFICATIONS_AT_ONCE_MAX}`, "c#0"]);
	for (const key of ["b#1", "b#2"]) await answer(key, true);
	t.same(await look(), ["b#3", "b#0"]);
});

t.test("a notification dropped since it was listed is not sent, and takes no slot", async (t) => {
	const { take, notifier, asked } = house([...pending("team/a", 4), ...pending("team/b", 1)]);
	const looking = notifier.look();
	for (let at = 0; at < 4; at++) take(`team/a#${at}`);
	await looking;
	await settled();
	t.same(asked, ["team/b#0"]);
});

t.test("an unreadable notification waits like a rejected one, blocks no other, and is logged once", async (t) => {
	let isReadable = false;
	const { look, time, held, answer } = house(
		[...pending("team/bad", 4), ...pending("team/good", 1)],
		(key) => isReadable || key.startsWith("team/good"),
	);
	t.same(await look(), ["team/good#0"], "the others wait for their backoff");
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
});
