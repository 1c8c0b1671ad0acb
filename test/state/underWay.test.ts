/** How many requests of a subject are under way: what has begun to count ends to count, whatever becomes of it. */
import type { ServerResponse } from "node:http";
import t from "tap";
import { UnderWay } from "../../src/state/api/underWay.js";

const EVE = { subject: "eve" };
const answer = (destroyed = false): ServerResponse => ({ destroyed }) as ServerResponse;

t.test("beyond so many a request is refused, of that subject alone, until one has ended", (t) => {
	const refused: string[] = [];
	const underWay = new UnderWay((subject) => refused.push(subject), 2);
	const first = answer();
	underWay.begin(EVE, first);
	underWay.begin(EVE, answer());
	const third = answer();
	t.throws(() => underWay.begin(EVE, third), { code: "resource-exhausted", message: /eve has 2 requests under way/ });
	t.same(refused, ["eve"]);
	underWay.begin({ subject: "ada" }, answer());
	underWay.end(third);
	t.throws(() => underWay.begin(EVE, answer()), "one that was refused did not count");
	underWay.end(first);
	underWay.end(first);
	underWay.begin(EVE, answer());
	t.throws(() => underWay.begin(EVE, answer()), "an end counts once");
	t.end();
});

t.test("whose client went while it was asked who it is never counts: its end has been", (t) => {
	const underWay = new UnderWay(() => t.fail("none is too many"), 1);
	for (let count = 0; count < 3; count++) underWay.begin(EVE, answer(true));
	underWay.begin(EVE, answer());
	t.end();
});
