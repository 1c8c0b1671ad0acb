/** How often a subject may act, and how long its declarations may be read: the bucket itself, and over the API. */
import t from "tap";
import { Permissions } from "../../src/state/rights/permissions.js";
import { Rights } from "../../src/state/rights/rights.js";
import { SubjectBudget } from "../../src/subjectBudget.js";
import { ALL, experiment, file, METRIC, SERVICE } from "./employment.js";
import { mutualApi, operator } from "./mutualApi.js";

const BOB = `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: bob}
spec: {verbs: [approve], subjects: ["${operator("bob")}"], namespaces: [default]}
`;
const POLICY = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default]}
`;

t.test("acts of a subject are bounded: so many at once, then by the hour", async (t) => {
	let nowMs = 0;
	const budget = new SubjectBudget(10, 6, 2, () => nowMs);
	for (let n = 0; n < 5; n++) t.equal(budget.take("ada", 2), 0);
	t.equal(budget.take("ada", 1), 600_000, "milliseconds until there is one again");
	nowMs = 300_000;
	t.equal(budget.take("ada", 1), 300_000);
	nowMs = 600_000;
	t.equal(budget.waitMs("ada", 1), 0, "to ask takes nothing");
	t.equal(budget.take("ada", 1), 0);
	t.equal(budget.take("ada", 2), 1_200_000, "what is refused costs nothing");
	t.equal(budget.take("bob", 10), 0, "another's is another's");
	t.equal(budget.take("carol", 10), 0, "of more subjects than are counted");
	t.equal(budget.take("dave", 1), 600_000, "the rest share one");
	nowMs = 1_200_000;
	t.equal(budget.take("ada", 1), 0);
	nowMs += 100 * 3_600_000;
	t.equal(budget.take("dave", 10), 0, "who has all of it again is not counted");
	t.equal(budget.take("erin", 10), 0);
	budget.owe("erin", 2);
	t.equal(budget.waitMs("erin", 1), 1_800_000, "what cannot wait is owed");
	nowMs += 100 * 3_600_000;
	t.equal(budget.take("erin", 25), 0, "what is more than one may have at once waits for all of that");
	t.equal(budget.waitMs("erin", 1), 16 * 600_000, "and the rest is owed");
	t.equal(budget.waitMs("erin", 25), 25 * 600_000);
});

t.test("beyond it an act waits, which is recorded once a minute as refused; the owner's do not", async (t) => {
	let nowMs = 1_000_000_000;
	let monotonicMs = 0;
	const actBudget = new SubjectBudget(3, 60, 10, () => monotonicMs);
	const { owner, as, store } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => nowMs });
	const ada = await as("ada");
	const metric = (name: string) => file(METRIC.replaceAll("accuracy", name));
	for (let n = 0; n < 3; n++) t.match(await ada.apply(metric(`m${n}`), { dryRun: false }), { outcome: "applied" });
	const { revision } = store.current;
	for (let n = 0; n < 5; n++) {
		await t.rejects(ada.apply(metric("more"), { dryRun: false }), {
			code: "resource-exhausted",
			hint: /ask again in 60 s/,
		});
	}
	t.equal(store.current.revision, revision);
	t.match(
		await ada.apply(metric("more"), { dryRun: true }),
		{ outcome: "applied" },
		"what leaves no record does not wait",
	);
	t.match(await ada.apply(metric("m1"), { dryRun: false }), { outcome: "applied" });
	const refused = () => store.audit.page(0, 10, "refused").records;
	t.match(refused(), [{ subject: operator("ada"), verb: "apply", result: "refused", why: /too often/ }]);
	t.equal(refused().length, 1);
	for (let n = 0; n < 5; n++) t.match(await owner.apply(metric(`o${n}`), { dryRun: false }), { outcome: "applied" });
	nowMs -= 86_400_000;
	monotonicMs += 60_000;
	t.match(await ada.apply(metric("more"), { dryRun: false }), { outcome: "applied" });
	await t.rejects(ada.delete("Metric", "more", { dryRun: false }), { code: "resource-exhausted" });
	t.match(refused(), [{}, { verb: "delete", unrecordedRefusals: 4 }]);
});

t.test("an approval waits too, and the request with it: it is not void", async (t) => {
	const actBudget = new SubjectBudget(3, 60);
	const { owner, as, store } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => 1_000_000_000 });
	await owner.apply(file([METRIC, BOB].join("---\n")), { dryRun: false });
	await owner.apply(file(POLICY), { dryRun: false });
	const [ada, bob] = [await as("ada"), await as("bob")];
	const ask = async (window: string): Promise<string> => {
		const asked = await ada.apply(file(METRIC.replace("1s", window)), { dryRun: false });
		return asked.outcome === "pending" ? asked.request.id : "not pending";
	};
	const [first, second] = [await ask("2s"), await ask("3s")];
	await bob.reject(second);
	t.match(await bob.approve(first), { state: "done" });
	const third = await ask("4s");
	await t.rejects(bob.approve(third), { code: "resource-exhausted" });
	await t.rejects(bob.reject(third), { code: "resource-exhausted" });
	await t.rejects(ask("5s"), { code: "resource-exhausted" });
	t.match(
		(await owner.requests()).find(({ id }) => id === third),
		{ state: "pending" },
	);
	t.equal(store.current.resources.metrics[0]?.spec.windowMs, 2_000);
});

t.test("what changes much leaves several records, and costs as many; to ask for it one", async (t) => {
	const actBudget = new SubjectBudget(100, 60, 10, () => 0);
	const { owner, as, store } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => 1_000_000_000 });
	const many = (name: string) =>
		file(Array.from({ length: 60 }, (_, at) => METRIC.replace("accuracy", `${name}-${at}`)).join("---\n"));
	const [ada, bob] = [await as("ada"), await as("bob")];
	t.match(await ada.apply(many("free"), { dryRun: false }), { outcome: "applied" });
	t.equal(actBudget.taken(operator("ada")), 2);
	await owner.apply(file([BOB, POLICY].join("---\n")), { dryRun: false });
	const before = store.audit.page(0, 1_000).records.length;
	const asked = await ada.apply(many("asked"), { dryRun: false });
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	t.equal(actBudget.taken(operator("ada")), 3);
	t.match(await bob.approve(asked.request.id), { state: "done" });
	t.equal(actBudget.taken(operator("bob")), 3, "the approval, and what it let happen");
	t.equal(store.audit.page(0, 1_000).records.length, before + 4);
});

t.test("who has done too much may still stop an Experiment", async (t) => {
	const actBudget = new SubjectBudget(1, 60);
	const { owner, as, store } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => 1_000_000_000 });
	await owner.apply(file(ALL), { dryRun: false });
	const ada = await as("ada");
	t.match(await ada.apply(file(METRIC.replace("accuracy", "one")), { dryRun: false }), { outcome: "applied" });
	await ada.act("boosted", "pause");
	await t.rejects(ada.act("boosted", "resume"), { code: "resource-exhausted" });
	await ada.act("boosted", "abort");
	t.equal(store.current.status.experiments.boosted?.phase, "Aborted");
});

t.test("but what it stopped is owed: one act declares many Experiments", async (t) => {
	const actBudget = new SubjectBudget(10, 60, 10, () => 0);
	const { owner, as } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => 1_000_000_000 });
	await owner.apply(file([SERVICE, METRIC].join("---\n")), { dryRun: false });
	const ada = await as("ada");
	const names = Array.from({ length: 10 }, (_, at) => `e${at}`);
	const all = names.map((name, at) => experiment(name, `[${at * 10}%, ${at * 10 + 10}%]`));
	t.match(await ada.apply(file(all.join("---\n")), { dryRun: false }), { outcome: "applied" });
	for (const name of names) {
		await ada.act(name, "pause");
		await ada.act(name, "abort");
	}
	t.equal(actBudget.taken(operator("ada")), 21);
	await t.rejects(ada.apply(file(METRIC.replace("accuracy", "more")), { dryRun: false }), {
		code: "resource-exhausted",
		hint: /ask again in 720 s/,
	});
	for (const name of names) await t.rejects(ada.act(name, "abort"), { code: "failed-precondition" });
	t.equal(actBudget.taken(operator("ada")), 21, "what cannot be done is not owed");
});

t.test("an abort that waits for approval is asked for too, and what follows waits for longer", async (t) => {
	const actBudget = new SubjectBudget(2, 60, 10, () => 0);
	const { owner, as } = await mutualApi(t, { admins: [operator("ada")], actBudget, now: () => 1_000_000_000 });
	await owner.apply(file([ALL, BOB].join("---\n")), { dryRun: false });
	await owner.apply(file(POLICY.replace("[apply]", "[apply, promote, abort]")), { dryRun: false });
	const ada = await as("ada");
	await ada.act("boosted", "promote");
	await ada.act("boosted", "promote");
	await t.rejects(ada.act("boosted", "promote"), { code: "resource-exhausted", hint: /ask again in 60 s/ });
	const asked = await ada.act("boosted", "abort");
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	await t.rejects(ada.reject(asked.request.id), { code: "resource-exhausted", hint: /ask again in 120 s/ });
	t.match(await (await as("bob")).approve(asked.request.id), { state: "done" });
	t.match((await ada.status()).experiments, [{ status: { phase: "Aborted" } }]);
});

t.test("what cannot be done costs nothing, and where none is left no gate is asked", async (t) => {
	let asked = 0;
	const made = await mutualApi(t, {
		admins: [operator("ada")],
		actBudget: new SubjectBudget(1, 60),
		webhook: async () => {
			asked++;
			return { ok: true };
		},
	});
	const gated = ALL.replace(
		/rollout: \{(.*)\}/,
		'rollout: {$1, gates: [{at: before-promotion, url: "https://ci.example/gate"}]}',
	);
	t.match(await made.owner.apply(file(gated), { dryRun: false }), { outcome: "applied" });
	const ada = await made.as("ada");
	for (let n = 0; n < 3; n++) {
		await t.rejects(ada.act("boosted", "resume"), { code: "failed-precondition" });
		await t.rejects(ada.act("boosted", "promote", { arm: "none" }), { code: "not-found" });
	}
	t.equal(asked, 0);
	t.match(await ada.apply(file(METRIC.replace("accuracy", "one")), { dryRun: false }), { outcome: "applied" });
	await t.rejects(ada.act("boosted", "promote"), { code: "resource-exhausted" });
	t.equal(asked, 0);
	t.match(await made.owner.act("boosted", "promote"), { outcome: "done" });
	t.equal(asked, 1);
});

/** Nothing else is answered while a declaration is read: dry runs and refused files leave no record, and take as long. */
t.test("who has had declarations read for too long waits, whatever came of them; others do not", async (t) => {
	let monotonicMs = 0;
	const readingBudget = new SubjectBudget(1, 3_600, 10, () => monotonicMs);
	const made = await mutualApi(t, { admins: [operator("ada")], readingBudget, now: () => 1_000_000_000 });
	const { owner, as, store } = made;
	await owner.apply(file([ALL, BOB].join("---\n")), { dryRun: false });
	await owner.apply(file(POLICY), { dryRun: false });
	const [ada, bob] = [await as("ada"), await as("bob")];
	const ask = async (name: string): Promise<string> => {
		const asked = await ada.apply(file(METRIC.replaceAll("accuracy", name)), { dryRun: false });
		monotonicMs += 60_000;
		return asked.outcome === "pending" ? asked.request.id : "not pending";
	};
	const [first, second] = [await ask("m1"), await ask("m2")];
	t.match(await ada.apply(file("kind: [\n"), { dryRun: true }), { outcome: "refused" });
	const waits = {
		code: "resource-exhausted",
		message: /the changes and requests of spiffe\S+ have taken [1-9]\d* s of control's time/,
		hint: /ask again in \d+ s/,
	};
	await t.rejects(ada.apply(file(METRIC), { dryRun: true }), waits);
	await t.rejects(ada.delete("Metric", "accuracy", { dryRun: true }), waits);
	await t.rejects(ada.rollback(1, null, { dryRun: true }), waits);
	t.match(
		store.audit.page(0, 10, "refused").records.filter(({ why }) => why?.includes("of control's time")),
		[{ subject: operator("ada"), verb: "apply" }, { verb: "delete" }, { verb: "rollback" }],
	);
	await ada.act("boosted", "pause");
	t.match(
		await owner.apply(file(METRIC), { dryRun: true }),
		{ outcome: "applied" },
		"the machine's owner need not wait",
	);
	t.match(await bob.approve(first), { state: "done" }, "nor need others");
	await t.rejects(bob.approve(second), waits, "an approval reads what was asked for once more");
	monotonicMs += 60_000;
	t.match(await ada.apply(file(METRIC), { dryRun: true }), { outcome: "applied" }, "by then there is time again");
});

t.test("what is read of all that is declared or was decided is read in the reader's time", async (t) => {
	let monotonicMs = 0;
	const readingBudget = new SubjectBudget(1_000, 3_600, 10, () => monotonicMs);
	const { owner, as } = await mutualApi(t, { admins: [operator("ada")], readingBudget });
	await owner.apply(file(ALL), { dryRun: false });
	const ada = await as("ada");
	const reads: Readonly<Record<string, (who: typeof ada) => Promise<unknown>>> = {
		decisions: (who) => who.decisions("boosted", 0),
		moves: (who) => who.moves("boosted", 0),
		resources: (who) => who.get(),
		"resources as written": (who) => who.getYaml(),
		diff: (who) => who.diff(),
		status: (who) => who.status(),
	};
	for (const [what, read] of Object.entries(reads)) {
		monotonicMs += 24 * 3_600_000;
		t.equal(readingBudget.taken(operator("ada")), 0);
		await read(ada);
		t.ok(readingBudget.taken(operator("ada")) > 0, what);
		readingBudget.owe(operator("ada"), 2_000);
		await t.rejects(read(ada), { code: "resource-exhausted", hint: /ask again in/ }, what);
		await read(owner);
	}
});

t.test(
	"what a subject is charged is what this process computes for it, not what the machine does meanwhile",
	async (t) => {
		const { store } = await mutualApi(t);
		const readingMs = new SubjectBudget(10_000, 3_600, 10, () => 0);
		const rights = new Rights(store, new Permissions([]), { acts: new SubjectBudget(1, 1), readingMs });
		const call = (subject: string) => ({ caller: { subject, how: "mtls", groups: [] } as const, nowMs: 0, id: "1" });
		const elsewhere = new Int32Array(new SharedArrayBuffer(4));
		rights.reading(call("ada"), () => Atomics.wait(elsewhere, 0, 0, 400));
		t.ok(readingMs.taken("ada") < 200, `${readingMs.taken("ada")} ms of CPU in 400 ms on the clock`);
		const compute = (): void => {
			const from = process.cpuUsage();
			while (process.cpuUsage(from).user < 50_000);
		};
		t.throws(() =>
			rights.reading(call("bob"), () => {
				compute();
				throw new Error("not read");
			}),
		);
		t.ok(readingMs.taken("bob") > 5, `${readingMs.taken("bob")} ms of some 50, whatever came of it`);
	},
);
