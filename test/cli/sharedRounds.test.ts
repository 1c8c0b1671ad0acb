/** Rounds of the probe for all who ask: one at a time, told for a while, and what stood where one takes long. */
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { SharedRounds, type SharedRoundsOptions } from "../../src/cli/roles/sharedRounds.js";
import { PROBE_SHARED_MS } from "../../src/limits.js";

/** Rounds that end when they are told to, and report how many there were. */
function scene(more: Partial<SharedRoundsOptions<string>> = {}) {
	const has = { state: "a", holds: true };
	const ends: (() => void)[] = [];
	const rounds = new SharedRounds<string>({
		round: () => new Promise((resolve) => ends.push(() => resolve(`round ${ends.length}`))),
		holds: () => has.holds,
		state: () => has.state,
		...more,
	});
	return { has, rounds, begun: () => ends.length, end: () => ends.at(-1)?.() };
}

t.test("who asks while one is under way is told of that one, and who asks soon after of it, too", async (t) => {
	const { has, rounds, begun, end } = scene();
	const asked = [rounds.recent(), rounds.now(), rounds.recent()];
	end();
	t.same(await Promise.all(asked), Array(3).fill("round 1"));
	t.equal(await rounds.recent(), "round 1");
	t.equal(begun(), 1);
	has.state = "b";
	const other = rounds.recent();
	end();
	t.equal(await other, "round 2", "other things are there to be probed");
	has.state = "c";
	has.holds = false;
	const third = rounds.recent();
	end();
	await third;
	void rounds.recent();
	t.equal(begun(), 4, "that does not hold");
});

t.test("another one begins a pause after the end of that which is under way, which is told no more", async (t) => {
	// A pause alone keeps no process alive.
	const alive = setInterval(() => {}, 1_000);
	t.teardown(() => clearInterval(alive));
	const { rounds, begun, end } = scene();
	const first = rounds.recent();
	rounds.again();
	rounds.again();
	t.equal(begun(), 1);
	const endedMs = performance.now();
	end();
	t.equal(await first, "round 1");
	while (begun() < 2) await pause(20);
	t.ok(performance.now() - endedMs >= PROBE_SHARED_MS - 1, "whoever comes again and again makes no more rounds");
	const asked = rounds.recent();
	end();
	t.same([await asked, await rounds.recent()], ["round 2", "round 2"]);
	t.equal(begun(), 2);
});

t.test("what the round before another one came to is not told after that one", async (t) => {
	const { rounds, begun, end } = scene();
	const first = rounds.recent();
	rounds.again();
	end();
	t.equal(await first, "round 1");
	const second = rounds.now();
	end();
	await second;
	void rounds.recent();
	t.equal(begun(), 3);
});

t.test("who asks makes that other one at once; and none is made when all is closed", async (t) => {
	const { rounds, begun, end } = scene();
	const first = rounds.recent();
	rounds.again();
	end();
	await first;
	const asked = rounds.recent();
	t.equal(begun(), 2);
	end();
	t.equal(await asked, "round 2");
	rounds.again();
	rounds.close();
	await pause(PROBE_SHARED_MS + 500);
	t.equal(begun(), 2);
});

t.test("where one takes long, who asks is told what stood; its end is told after that", async (t) => {
	// Patience alone keeps no process alive.
	const alive = setInterval(() => {}, 1_000);
	t.teardown(() => clearInterval(alive));
	let told = 0;
	const late = { afterMs: 1, tell: () => void told++, report: () => "what stood" };
	const { rounds, end } = scene({ late });
	t.equal(await rounds.recent(), "what stood");
	t.equal(told, 1);
	end();
	t.equal(await rounds.now(), "round 1");
	t.equal(await rounds.recent(), "round 1");
});
