/** An Experiment that Weir may promote by itself is a promotion in advance: its right, its approvals, and what was approved. */
import t from "tap";
import { experiment, file, METRIC } from "./employment.js";
import { operator } from "./mutualApi.js";
import { operatorScene, TWO } from "./operatorScene.js";

const now = { dryRun: false };
const GOAL = "  goal: {metric: mine, improveBy: {absolute: 0pp}}\n";
const GUARD = "  guardrails: [{metric: guard, margin: {absolute: 1pp}}]\n";

const metric = (name: string, sender = "ada"): string =>
	METRIC.replace("accuracy", name).replace("window: 1s", `window: 1s, senders: ["${operator(sender)}"]`);
/** Even, and on a slot as small as may be: its promotion takes everybody all the same. */
const even = (name: string, goal = GOAL, slot = "[0%, 1%]"): string =>
	experiment(name, slot)
		.replace(/ {2}goal: .*\n/, goal)
		.replace("minUnits: 500, alpha: 0.05", "minUnits: 50, alpha: 0.2");
const effect = (name: string): string =>
	`lets Experiment ${name} promote arm boosted to everybody of Service employment by its own rules: goal mine`;

async function scene(t: Parameters<typeof operatorScene>[0], ...documents: readonly string[]) {
	const verbs = { ada: "apply", gina: "apply, promote", carol: "approve" };
	const { gina, ...made } = await operatorScene(t, verbs, ...documents);
	const asked = async (...texts: readonly string[]): Promise<string> => {
		const answer = await gina.apply(file(texts.join("---\n")), now);
		if (answer.outcome !== "pending") throw new Error(JSON.stringify(answer));
		return answer.request.id;
	};
	return { ...made, gina, asked };
}

t.test("where a policy covers promotions, to declare one with a goal takes that right, and waits", async (t) => {
	const { owner, ada, gina, carol, store } = await scene(t);
	const sly = file([metric("mine"), even("sly")].join("---\n"));
	t.match(await ada.apply(sly, { dryRun: true }), { outcome: "applied" }, "where none does, nobody has to be asked");
	await owner.apply(file(TWO), now);
	const denied = {
		code: "permission-denied",
		message: new RegExp(`ada promote in namespace default, which it takes where a declaration ${effect("sly")}$`),
	};
	await t.rejects(ada.apply(sly, now), denied);
	await t.rejects(ada.apply(sly, { dryRun: true }), denied);
	t.same(store.current.resources.metrics, [], "nothing of it");
	t.match(await gina.apply(sly, { dryRun: true }), { outcome: "applied", approvals: 1 });
	const asked = await gina.apply(sly, now);
	t.match(asked, {
		outcome: "pending",
		request: { needs: 1, effects: ["created Experiment sly", "created Metric mine", effect("sly")] },
	});
	t.same(store.current.resources.experiments, []);
	if (asked.outcome === "pending") t.match(await carol.approve(asked.request.id), { state: "done" });
	t.match(store.current.status.experiments, { sly: { phase: "Running" } });
	t.match(await ada.apply(file(even("sly")), now), { outcome: "applied" }, "as it is it promises nothing new");
	t.match(await ada.apply(file(even("plain", GUARD.replace("guard,", "mine,"), "[1%, 2%]")), now), {
		outcome: "applied",
		changes: [{ change: "created" }],
	});
});

t.test("what was asked for is void where a Metric that it is judged by is another one", async (t) => {
	const { ada, carol, asked, store } = await scene(t, TWO, metric("mine", "labels"), metric("guard", "labels"));
	const trial = even("trial", GOAL + GUARD);
	for (const [name, change] of [
		["senders", [metric("mine", "ada")]],
		["direction", [metric("mine", "ada").replace("up", "down")]],
		["a guardrail's window", [metric("guard", "labels").replace("1s", "2s")]],
	] as const) {
		const id = await asked(trial);
		t.match(await ada.apply(file(change.join("---\n")), now), { outcome: "applied" }, `no one runs by it: ${name}`);
		await t.rejects(
			carol.approve(id),
			{ code: "conflict", message: /void: what it would change has changed/ },
			`void: ${name}`,
		);
	}
	const anew = await asked(trial);
	t.match(await ada.delete("Metric", "mine", now), { outcome: "applied" });
	await ada.apply(file(metric("mine", "ada").replace("rate", "mean")), now);
	await t.rejects(carol.approve(anew), { code: "conflict" }, "declared anew");
	t.same(store.current.resources.experiments, []);
	const last = await asked(trial);
	await ada.apply(file(metric("other")), now);
	t.match(await carol.approve(last), { state: "done" }, "others are its neighbours");
});

t.test("a denominator is one of them, whether the ratio stands already or comes with the request", async (t) => {
	const { ada, carol, asked, store } = await scene(t, TWO, metric("volume", "labels"), metric("mine", "labels"));
	const ratio = metric("revenue", "labels").replace("type: rate", "type: ratio, denominator: volume");
	const goal = even("sold", "  goal: {metric: revenue, improveBy: {relative: 1%}}\n");
	const guard = even("sold", `${GOAL}  guardrails: [{metric: revenue, margin: {relative: 1%}}]\n`);
	const sent = async (sender: string): Promise<void> => {
		t.match(await ada.apply(file(metric("volume", sender)), now), { outcome: "applied" }, `${sender} sends it`);
	};
	const isVoid = { code: "conflict", message: /void: what it would change has changed/ };
	const together = await asked(ratio, goal);
	await sent("ada");
	await t.rejects(carol.approve(together), isVoid, "comes with it");
	await ada.apply(file(ratio), now);
	for (const [what, experiment, sender] of [
		["of the goal", goal, "labels"],
		["of a guardrail", guard, "ada"],
	] as const) {
		const id = await asked(experiment);
		await sent(sender);
		await t.rejects(carol.approve(id), isVoid, what);
	}
	t.same(store.current.resources.experiments, []);
	t.match(await carol.approve(await asked(goal)), { state: "done" }, "nothing has changed");
});

t.test("there is no later way to a goal", async (t) => {
	const { owner, ada, store } = await scene(t, TWO, metric("mine"), even("late", ""));
	const [before, withGoal] = [store.current.status.experiments.late, file(even("late"))];
	t.match(before, { phase: "Running" });
	t.match(await ada.apply(withGoal, now), {
		outcome: "refused",
		problems: [{ message: /metric of the goal would change from none to mine/ }],
	});
	await owner.act("late", "abort");
	t.match(await ada.apply(withGoal, now), {
		outcome: "refused",
		problems: [{ message: /has ended, and spec.goal would change/ }],
	});
	t.match(store.current.status.experiments.late, { phase: "Aborted", allocationPpm: 0 });
	t.match(await ada.delete("Experiment", "late", now), { outcome: "applied" });
	await t.rejects(ada.apply(withGoal, now), { message: new RegExp(effect("late")) }, "declared anew it is a new one");
	t.match(await owner.apply(withGoal, now), { outcome: "refused", problems: [{ message: /was used by a former/ }] });
});
