/** A publication in slices has the result of one in a single turn, and other work of the event loop runs in between. */
import t from "tap";
import { finish, inSlices, type Steps } from "../../../src/limits/slices.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { published, tinyPlan } from "./tinyPlan.js";

function* slow(steps: number): Steps<number> {
	for (let step = 0; step < steps; step++) {
		const startMs = performance.now();
		while (performance.now() - startMs < 5);
		yield;
	}
	return steps;
}

t.test("other work runs between the slices of a publication", async (t) => {
	let turns = 0;
	const turn = (): void => {
		turns++;
		timer = setImmediate(turn);
	};
	let timer = setImmediate(turn);
	t.teardown(() => clearImmediate(timer));
	t.equal(await inSlices(slow(20), Number.POSITIVE_INFINITY), 20);
	t.ok(turns >= 5, `${turns} turns in 100 ms`);
	const before = turns;
	t.equal(finish(slow(5)), 5);
	t.equal(turns, before, "in one slice: no other turn");
});

t.test("a faulty plan is refused as in one slice, and the previous one stays", async (t) => {
	const plan = published(tinyPlan({ gatewayPort: 8080, services: {} }));
	const server = new XdsServer();
	t.teardown(() => server.close());
	await server.publishInSlices(plan, 1);
	const faulty = { ...plan, envoy: { ...plan.envoy, routes: [] } };
	await t.rejects(server.publishInSlices(faulty, 2), { code: "failed-precondition" });
	await t.rejects(server.publishInSlices(plan, 0), { code: "invalid-argument" }, "a revision never decreases");
});
