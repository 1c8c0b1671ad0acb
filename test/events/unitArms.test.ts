/** The compact table of units' arms, against a Map: growing, forgetting for room, and forgetting whole Experiments. */
import t from "tap";
import { UnitArms } from "../../src/events/unitArms.js";

/** The same on every run: multiplies by Knuth's MMIX constant modulo 2^64. */
function random(seed: bigint): () => number {
	let state = seed;
	return () => {
		state = BigInt.asUintN(64, state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
		return Number(state >> 33n);
	};
}

t.test("knows what a Map knows, while it grows and Experiments go", (t) => {
	const arms = new UnitArms(100_000, 2);
	const expected = new Map<string, { arm: string | null; own: number }>();
	const next = random(7n);
	const names = ["a", "b", "c"];
	for (let step = 0; step < 40_000; step++) {
		const experiment = names[next() % 3] ?? "";
		// Few, so that many come again: each in all Experiments, neighbours, and some whose lower half is alike.
		const unit = BigInt(next() % 6_000) << BigInt(next() % 2 === 0 ? 0 : 40);
		const key = `${experiment}|${unit}`;
		const arm = [null, "control", "boosted"][next() % 3] ?? null;
		const own = next();
		const known = expected.get(key);
		let at = arms.find(experiment, unit);
		if ((at === -1) !== (known === undefined)) t.fail(`${key} at step ${step}`);
		if (at === -1) at = arms.add(experiment, unit, arm);
		else {
			if (arms.arm(at) !== known?.arm || arms.own(at, 1) !== known.own) t.fail(`${key} at step ${step}`);
			arms.setArm(at, arm);
		}
		arms.setOwn(at, 1, own);
		expected.set(key, { arm, own });
		if (step % 9_000 !== 8_999) continue;
		arms.forget([experiment, "nobody's", experiment]);
		for (const one of expected.keys()) if (one.startsWith(`${experiment}|`)) expected.delete(one);
		t.equal(arms.size, expected.size);
		t.notOk(arms.experiments.includes(experiment));
	}
	for (const [key, { arm, own }] of expected) {
		const [experiment = "", unit = ""] = key.split("|");
		const at = arms.find(experiment, BigInt(unit));
		if (at === -1 || arms.arm(at) !== arm || arms.own(at, 1) !== own) t.fail(key);
	}
	t.equal(arms.size, expected.size);
	t.end();
});

t.test("all that are not forgotten are found, however full the table is", (t) => {
	// Three quarters of 1,024 slots: as full as it gets.
	const max = 768;
	const arms = new UnitArms(max);
	const next = random(13n);
	const added: bigint[] = [];
	for (let round = 0; round < 50; round++) {
		for (let count = 0; count < 100; count++) {
			const unit = (BigInt(next()) << 31n) | BigInt(next());
			added.push(unit);
			arms.add("e", unit, String(unit));
		}
		const found = added.filter((unit) => {
			const at = arms.find("e", unit);
			return at !== -1 && arms.arm(at) === String(unit);
		});
		t.equal(found.length, Math.min(max, added.length), `round ${round}`);
	}
	t.end();
});

t.test("at its bound each new one takes the place of one, and who is looked up stays", (t) => {
	const max = 3_000;
	const forgotten = new Map<string, number>();
	const arms = new UnitArms(max, 0, (experiment) => {
		forgotten.set(experiment, (forgotten.get(experiment) ?? 0) + 1);
	});
	const next = random(11n);
	const unit = () => (BigInt(next()) << 31n) | BigInt(next());
	const regulars = Array.from({ length: 1_000 }, unit);
	for (const one of regulars) arms.add("regulars", one, "control");
	for (let round = 0; round < 20; round++) {
		const here = regulars.filter((one) => {
			const at = arms.find("regulars", one);
			return at !== -1 && arms.arm(at) === "control";
		});
		t.equal(here.length, 1_000, `round ${round}`);
		for (let count = 0; count < 1_000; count++) arms.add("passers-by", unit(), null);
	}
	t.equal(arms.size, max);
	t.same([...forgotten], [["passers-by", 18_000]]);
	arms.forget(["regulars", "passers-by"]);
	t.same([arms.size, arms.experiments], [0, []]);
	t.equal(arms.find("regulars", regulars[0] ?? 0n), -1);
	t.end();
});
