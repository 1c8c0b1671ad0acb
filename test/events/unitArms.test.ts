/** Units' arms, against Maps: growing, forgetting for room, and forgetting whole Experiments. */
import t from "tap";
import { UnitArms } from "../../src/events/decisions/unitArms.js";

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

/** What UnitArms promises, in objects: places in a ring, those of Experiments that are gone first, then the hand's. */
class Model {
	readonly places: { key: string; arm: string | null; seen: boolean }[] = [];
	readonly index = new Map<string, number>();
	readonly forgotten: string[] = [];
	hand = 0;
	nextGone = 0;

	constructor(private readonly max: number) {}

	find(key: string): string | null | undefined {
		const place = this.places[this.index.get(key) ?? -1];
		if (place !== undefined) place.seen = true;
		return place?.arm;
	}

	add(key: string, arm: string | null): void {
		const anyGone = this.places.length > this.index.size;
		const at = anyGone ? this.gone() : this.index.size < this.max ? this.places.length : this.victim();
		this.places[at] = { key, arm, seen: anyGone };
		this.index.set(key, at);
	}

	forget(experiment: string): void {
		for (const key of this.index.keys()) if (key.startsWith(`${experiment}|`)) this.index.delete(key);
	}

	private gone(): number {
		for (let at = this.nextGone; ; at = (at + 1) % this.places.length) {
			if (this.index.get(this.places[at]?.key ?? "") === at) continue;
			this.nextGone = (at + 1) % this.places.length;
			return at;
		}
	}

	private victim(): number {
		for (; ; this.hand = (this.hand + 1) % this.max) {
			const place = this.places[this.hand];
			if (place === undefined) throw new Error("the hand is out of the ring");
			if (place.seen) {
				place.seen = false;
				continue;
			}
			this.index.delete(place.key);
			this.forgotten.push(place.key.split("|")[0] ?? "");
			const at = this.hand;
			this.hand = (at + 1) % this.max;
			return at;
		}
	}
}

t.test("forgets whom the model forgets, one by one and by Experiments, while it grows and when it is full", (t) => {
	const max = 3_000;
	const forgotten: string[] = [];
	const arms = new UnitArms(max, 1, (experiment) => forgotten.push(experiment));
	const model = new Model(max);
	const next = random(17n);
	const names = ["a", "b", "c"];
	let wrong = 0;
	for (let step = 0; step < 60_000; step++) {
		const experiment = names[next() % 3] ?? "";
		const unit = BigInt(next() % 3_000);
		const key = `${experiment}|${unit}`;
		const at = arms.find(experiment, unit);
		const known = model.find(key);
		if ((at === -1 ? undefined : arms.arm(at)) !== known) wrong++;
		if (at !== -1 && arms.own(at, 0) !== Number(unit)) wrong++;
		if (at === -1) {
			const arm = [null, "control", "boosted"][next() % 3] ?? null;
			const added = arms.add(experiment, unit, arm);
			if (arms.own(added, 0) !== 0) wrong++;
			arms.setOwn(added, 0, Number(unit));
			model.add(key, arm);
		}
		if (step % 7_000 !== 6_999) continue;
		arms.forget([experiment]);
		model.forget(experiment);
		t.equal(arms.size, model.index.size, `${arms.size} are left at step ${step}`);
	}
	t.equal(wrong, 0);
	t.ok(forgotten.length > 10_000, String(forgotten.length));
	t.equal(forgotten.length, model.forgotten.length);
	t.equal(
		forgotten.findIndex((experiment, index) => experiment !== model.forgotten[index]),
		-1,
	);
	t.equal(arms.size, model.index.size);
	t.end();
});

t.test("however many come beyond the bound, a look-up passes a few units", (t) => {
	const max = 20_000;
	const arms = new UnitArms(max);
	const next = random(19n);
	for (let round = 0; round < 16; round++) {
		for (let count = 0; count < max / 4; count++) arms.add("e", (BigInt(next()) << 31n) | BigInt(next()), null);
		const { longestChain } = arms;
		t.ok(longestChain >= 1 && longestChain <= 12, `${longestChain} after ${(round + 1) * (max / 4)}`);
	}
	t.equal(arms.size, max);
	t.end();
});

t.test("who came first leaves first, and nobody before as many others came as are known", (t) => {
	const max = 2_000;
	const arms = new UnitArms(max);
	const next = random(23n);
	const units = Array.from({ length: 4 * max }, () => (BigInt(next()) << 31n) | BigInt(next()));
	for (const unit of units) arms.add("e", unit, null);
	t.equal(
		units.findIndex((unit) => arms.find("e", unit) !== -1),
		3 * max,
	);
	t.equal(units.filter((unit) => arms.find("e", unit) !== -1).length, max);
	t.end();
});

t.test("a newcomer in the place of one that is gone stays until the hand came by twice", (t) => {
	const arms = new UnitArms(4);
	for (const unit of [1n, 2n]) arms.add("stays", unit, "a");
	for (const unit of [3n, 4n]) arms.add("goes", unit, "a");
	arms.add("stays", 5n, "a");
	arms.forget(["goes"]);
	t.same([arms.size, arms.experiments], [2, ["stays"]]);
	for (const unit of [6n, 7n]) arms.add("new", unit, "b");
	// The hand is at 2, then come both newcomers.
	for (const unit of [8n, 9n]) arms.add("more", unit, "c");
	t.same(
		[6n, 7n].map((unit) => arms.find("new", unit) !== -1),
		[true, true],
	);
	t.same(
		[2n, 5n].map((unit) => arms.find("stays", unit)),
		[-1, -1],
	);
	t.end();
});
