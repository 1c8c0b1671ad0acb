/** In which order, and for how long, the loop is told whom promotions would shut out. */
import t from "tap";
import { ShutOutAnswers } from "../../src/rollout/shutOutAnswers.js";

const SHUT_OUT = { from: "v1", to: "v2", policies: ["p"], more: 0 };

const failed = (_experiment: string, thrown: unknown): never => {
	throw thrown;
};

/** A question whose answer takes a while, and how often it was given. */
function question(basis: readonly string[], { takesMs = 0, found = SHUT_OUT as typeof SHUT_OUT | null } = {}) {
	const made = {
		basis,
		told: 0,
		answer: () => {
			const from = performance.now();
			while (performance.now() - from < takesMs);
			made.told++;
			return found;
		},
	};
	return made;
}

t.test("it is told once for the same rules, after the tick, and anew for others", async (t) => {
	const answers = new ShutOutAnswers();
	const first = question(["v1", "v2", "rules"]);
	t.equal(answers.find("e", first), undefined);
	t.equal(first.told, 0);
	answers.answer(100, failed);
	for (let tick = 0; tick < 3; tick++) {
		const same = question(["v1", "v2", "rules"]);
		t.same(answers.find("e", same), SHUT_OUT);
		answers.answer(100, failed);
		t.equal(same.told, 0);
	}
	const others = question(["v1", "v2", "other rules"], { found: null });
	t.equal(answers.find("e", others), undefined, "nothing is said by the rules of before");
	answers.answer(100, failed);
	t.equal(answers.find("e", others), null);
	t.equal(answers.find("of no Service with rules", question([])), null, "at once");
});

t.test("who waits longest comes first: rules that change all the time keep nobody else waiting", async (t) => {
	const answers = new ShutOutAnswers();
	const quiet = question(["quiet"]);
	for (let tick = 0; tick < 3; tick++) {
		answers.find("a-busy", question([`busy ${tick}`], { takesMs: 5 }));
		answers.find("b-quiet", quiet);
		answers.answer(1, failed);
	}
	t.equal(quiet.told, 1);
	t.same(answers.find("b-quiet", quiet), SHUT_OUT);
});

t.test("a tick is over after its time, with one answer at the least", async (t) => {
	const answers = new ShutOutAnswers();
	const asked = Array.from({ length: 10 }, (_, at) => question([`${at}`], { takesMs: 10 }));
	const told = () => asked.filter((one) => one.told > 0).length;
	const tick = (milliseconds: number) => {
		for (const [at, one] of asked.entries()) answers.find(`e${at}`, one);
		answers.answer(milliseconds, failed);
	};
	tick(0);
	t.equal(told(), 1);
	tick(25);
	t.ok(told() >= 2 && told() <= 4, `${told()}`);
});

t.test("what was not asked in a tick is forgotten", async (t) => {
	const answers = new ShutOutAnswers();
	const [one, other] = [question(["one"]), question(["other"])];
	answers.find("one", one);
	answers.find("other", other);
	answers.answer(0, failed);
	answers.find("one", one);
	answers.answer(100, failed);
	t.equal(other.told, 0, "it waited, and nobody asks any more");
	answers.answer(100, failed);
	t.equal(answers.find("one", one), undefined);
});

t.test("what cannot be answered is told, keeps nobody else, and is asked again", async (t) => {
	const answers = new ShutOutAnswers();
	const broken = {
		basis: ["broken"],
		answer: (): never => {
			throw new RangeError("no such thing");
		},
	};
	const other = question(["other"]);
	const told: string[] = [];
	for (let tick = 0; tick < 2; tick++) {
		t.equal(answers.find("broken", broken), undefined);
		answers.find("other", other);
		answers.answer(100, (experiment, thrown) => void told.push(`${experiment}: ${thrown}`));
	}
	t.same(told, ["broken: RangeError: no such thing", "broken: RangeError: no such thing"]);
	t.equal(other.told, 1);
});

t.test("who could not ask in a tick loses neither its turn nor its answer", async (t) => {
	const answers = new ShutOutAnswers();
	const one = question(["one"]);
	answers.find("a", question(["first"]));
	answers.find("one", one);
	answers.answer(0, failed);
	answers.keep("a");
	answers.keep("one");
	answers.answer(0, failed);
	t.equal(one.told, 1);
	answers.keep("a");
	answers.keep("one");
	answers.answer(0, failed);
	t.same(answers.find("one", one), SHUT_OUT);
	t.same(answers.find("a", question(["first"])), SHUT_OUT);
});
