/** Whose change of arm is recorded where there are many people, and of whom no more is known. */
import t from "tap";
import { AssignmentChanges } from "../../src/events/decisions/assignmentChanges.js";
import { forgetEnded } from "../../src/events/decisions/endedExperiments.js";
import { openEventStore } from "../../src/events/store/store.js";

const unitAt = (index: number): bigint => (BigInt(index + 1) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835n) % 2n ** 128n;

/** How many of so many units have a change that a request of each under the plan shows. */
function told(
	changes: AssignmentChanges,
	units: number,
	plan: string,
	arm: string | null,
	experiment = "e",
	first = 0,
): number {
	const startUs = Number(plan.slice(1)) * 1e15;
	let count = 0;
	for (let index = first; index < units; index++) {
		if (changes.see({ experiment, unit: unitAt(index), arm, plan, startUs: startUs + index }) !== null) count++;
	}
	return count;
}

t.test("of half a million people each has the change recorded, once", (t) => {
	const changes = new AssignmentChanges(() => t.fail("somebody was forgotten"));
	const units = 500_000;
	t.equal(told(changes, units, "p1", null), 0);
	t.equal(told(changes, units, "p2", "boosted"), units);
	t.equal(told(changes, units, "p2", "boosted"), 0);
	t.equal(told(changes, units, "p1", null), 0, "they began before");
	t.equal(told(changes, units, "p3", "boosted"), 0, "a plan that changes nothing");
	t.same(changes.see({ experiment: "e", unit: unitAt(7), arm: null, plan: "p4", startUs: 4e15 }), {
		formerArm: "boosted",
	});
	t.equal(changes.size, units);
	t.end();
});

t.test("who began before the plan was seen at work, by a microsecond, is of the past", (t) => {
	const changes = new AssignmentChanges();
	// Beyond 2^50: the lowest bit counts.
	const startUs = 1_790_000_000_000_001;
	const see = (plan: string, arm: string, us: number) =>
		changes.see({ experiment: "e", unit: 5n, arm, plan, startUs: us });
	t.equal(see("p2", "b", startUs), null);
	t.equal(see("p1", "a", startUs - 1), null);
	t.same(see("p3", "a", startUs), { formerArm: "b" });
	t.end();
});

t.test("many plans later a unit is compared still, and nothing is told of those that change nothing", (t) => {
	const changes = new AssignmentChanges();
	t.equal(told(changes, 3, "p1", "a"), 0);
	for (let plan = 2; plan < 1_000; plan++) t.equal(told(changes, 2, `p${plan}`, "a"), 0);
	t.equal(told(changes, 3, "p1000", "b"), 3);
	t.end();
});

t.test("of all Experiments together so many are known, and each one that is forgotten is told of", (t) => {
	const forgotten: string[] = [];
	const changes = new AssignmentChanges((experiment) => forgotten.push(experiment), 5_000);
	told(changes, 3_000, "p1", null, "one");
	told(changes, 3_000, "p1", null, "other");
	t.equal(forgotten.length, 1_000);
	t.equal(changes.size, 5_000);
	t.equal(told(changes, 3_000, "p2", "boosted", "one", 1_000), 2_000, "those who came last are known");
	t.equal(told(changes, 1_000, "p2", "boosted", "one"), 0, "who was not seen for longest was forgotten");
	t.equal(forgotten.filter((experiment) => experiment === "other").length, 1_000, "and makes others forgotten");
	t.equal(told(changes, 3_000, "p3", null, "one"), 3_000, "not those who were seen since");
	t.end();
});

t.test("an Experiment that has ended is forgotten; while nobody can be asked, none is", async (t) => {
	const changes = new AssignmentChanges();
	for (const experiment of ["one", "other"]) told(changes, 100, "p1", null, experiment);
	await forgetEnded([changes], async () => {
		throw new Error("control is dead");
	});
	t.same(changes.experiments, ["one", "other"]);
	await forgetEnded([changes], async () => {
		// It begins meanwhile, and is not in the answer.
		told(changes, 1, "p1", null, "new");
		return ["other"];
	});
	t.same(changes.experiments, ["other", "new"]);
	t.equal(changes.size, 101);
	t.equal(told(changes, 100, "p2", "boosted", "one"), 0, "nothing is known of them");
	t.equal(told(changes, 100, "p2", "boosted", "other"), 100);
	const idle = forgetEnded([new AssignmentChanges()], async () => t.fail("nothing is known: nobody is asked") as never);
	await t.resolves(idle);
});

t.test("a new process learns of as many people as the newest requests tell of", async (t) => {
	const store = await openEventStore(t.testdir());
	t.teardown(() => store.close());
	const units = 300_000;
	await store.entries.transaction((transaction) =>
		transaction.run(`INSERT INTO entries (ended, request, start_us, received_ms, service, variant, experiment, unit, arm, reference,
			duration_ms, status, failed, unhealthy, assigned)
			SELECT TRUE, i, i, 0, 's', 'v', 'e', i, 'a', TRUE, 1, 200, FALSE, FALSE, 'a' FROM range(${units}) r(i)`),
	);
	const changes = new AssignmentChanges();
	await changes.recall(store.decisions);
	t.equal(changes.size, units);
	for (const unit of [0n, 150_000n, 299_999n]) {
		t.same(changes.see({ experiment: "e", unit, arm: "b", plan: "p", startUs: 1e6 }), { formerArm: "a" });
	}
});
