/** Queries at ingest: the rollout loop's before people's, else in the order of arrival. */
import type { ServerResponse } from "node:http";
import t from "tap";
import { QUERIES_WAITING_MAX, QueryQueue } from "../../../../src/observe/events/query/queryQueue.js";

/** A queue with one query in progress, which the test ends. */
function busyQueue() {
	const queue = new QueryQueue();
	const ran: string[] = [];
	let end = (): void => undefined;
	const first = queue.run("users", { destroyed: false } as ServerResponse, async () => {
		ran.push("first");
		await new Promise<void>((resolve) => {
			end = resolve;
		});
	});
	const ask = (asker: "loop" | "users", name: string, response = { destroyed: false }) =>
		queue.run(asker, response as ServerResponse, async () => void ran.push(name));
	return { ran, ask, first, end: () => end() };
}

t.test("the loop's queries run first, then the others in order; disconnected clients are skipped", async (t) => {
	const { ran, ask, first, end } = busyQueue();
	const gone = { destroyed: false };
	const asked = [ask("users", "p1"), ask("users", "gone", gone), ask("users", "p2"), ask("loop", "l1")];
	asked.push(ask("loop", "l2"));
	t.same(ran, ["first"]);
	gone.destroyed = true;
	end();
	await Promise.all([first, ...asked]);
	t.same(ran, ["first", "l1", "l2", "p1", "p2"]);
	await ask("users", "later");
	t.equal(ran.at(-1), "later");
});

t.test("queries of people are bounded in number, those of the loop are not", async (t) => {
	const { ran, ask, first, end } = busyQueue();
	const asked = Array.from({ length: QUERIES_WAITING_MAX }, (_, at) => ask("users", `p${at}`));
	await t.rejects(ask("users", "one too many"), { code: "unavailable" });
	asked.push(ask("loop", "l"));
	end();
	await Promise.all([first, ...asked]);
	t.equal(ran.length, 2 + QUERIES_WAITING_MAX);
});

t.test("after a failed query the next one runs", async (t) => {
	const queue = new QueryQueue();
	const response = { destroyed: false } as ServerResponse;
	await t.rejects(
		queue.run("loop", response, () => Promise.reject(new Error("no"))),
		{ message: "no" },
	);
	let ran = false;
	await queue.run("users", response, async () => {
		ran = true;
	});
	t.ok(ran);
});
