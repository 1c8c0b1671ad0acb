import t from "tap";
import { ALIVE_EVERY_MS, Pulse } from "../../../src/sidecar/grpc/pulse.js";

t.test("a worker that says nothing is told once, killed once, and forgotten when it is gone", async (t) => {
	const said: string[] = [];
	const pulse = new Pulse<string>(
		// The second one between two looks.
		{ told: 2 * ALIVE_EVERY_MS, killed: 3.5 * ALIVE_EVERY_MS, starting: 2 * ALIVE_EVERY_MS },
		{
			onSilent: (worker, ms) => said.push(`${worker} is silent ${ms}`),
			onHung: (worker, ms) => said.push(`${worker} hangs ${ms}`),
		},
	);
	const looks = (count: number): void => {
		for (let look = 0; look < count; look++) {
			pulse.heard("well");
			pulse.look();
		}
	};
	pulse.heard("hung");
	looks(1);
	t.same([said, pulse.silent], [[], 0]);
	looks(2);
	t.same([said, pulse.silent], [["hung is silent 2000"], 1]);
	looks(6);
	t.same([said, pulse.silent], [["hung is silent 2000", "hung hangs 4000"], 1]);
	pulse.ended("hung");
	looks(9);
	t.same([said.length, pulse.silent], [2, 0]);
	pulse.began("mute");
	looks(3);
	t.same([said.length, pulse.silent], [2, 0], "who has said nothing yet still starts");
	looks(9);
	t.same(said.slice(2), ["mute is silent 4000", "mute hangs 6000"], "for a while");
});

t.test("who speaks again is well", async (t) => {
	const said: string[] = [];
	const pulse = new Pulse<string>(
		{ told: ALIVE_EVERY_MS, killed: 3 * ALIVE_EVERY_MS, starting: 0 },
		{ onSilent: () => said.push("silent"), onHung: () => said.push("hung") },
	);
	for (let round = 0; round < 3; round++) {
		pulse.heard("late");
		pulse.look();
		pulse.look();
		t.equal(pulse.silent, 1);
	}
	t.same(said, ["silent", "silent", "silent"]);
});
