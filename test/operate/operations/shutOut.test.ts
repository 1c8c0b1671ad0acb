/** Promotions by which callers would lose access: refused, or allowed with --shut-out and a reason, or approved. */
import t from "tap";
import { completedStatus } from "../../../src/decide/rollout/takeover.js";
import { experiment, file, METRIC, outcome, SERVICE } from "../employment.js";
import { type MutualApiOptions, mutualApi } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";
import { TWO } from "../operatorScene.js";

const now = { dryRun: false };
const policy = (name: string, who: string, variants: string) =>
	`apiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: ${name}}\nspec: {services: [employment], principals: ["${who}"], variants: ${variants}}\n`;
const ALL = (variants = "[v1]") => policy("all-may-v1", "spiffe://weir.test/*", variants);
const BETA = policy("beta-may-v2", "spiffe://weir.test/beta", "[v2]");
const CLOSED = SERVICE.replace("  access: open\n", "");
const DECLARED = [CLOSED, METRIC, experiment("boosted"), ALL(), BETA].join("---\n");
const LOSS = "AccessPolicy all-may-v1 allows v1 and not v2";
const MEANT = { shutOut: true, reason: "v1 is withdrawn" };

async function scene(t: { teardown(end: () => unknown): unknown }, options: MutualApiOptions = {}) {
	const made = await mutualApi(t, options);
	const rules = [
		binding("ada", "promote", ["ada"], "[default]"),
		binding("bob", "approve", ["bob"], "[default]"),
		binding("root", "admin", ["root"], "[default]"),
	];
	const applied = await made.owner.apply(file([DECLARED, ...rules].join("---\n")), now);
	if (applied.outcome !== "applied") throw new Error(JSON.stringify(applied));
	const last = () => made.store.audit.page(0, 1_000).records.at(-1);
	const phase = () => made.store.current.status.experiments.boosted?.phase;
	return { ...made, last, phase };
}

t.test("a promotion that takes access is refused, or done with a reason and recorded with its effect", async (t) => {
	const { as, last, phase } = await scene(t);
	const ada = await as("ada");
	await t.rejects(ada.act("boosted", "promote", { reason: "better" }), {
		code: "failed-precondition",
		message: new RegExp(LOSS),
		hint: /--shut-out --reason WHY$/,
	});
	t.equal(phase(), "Running");
	await t.rejects(ada.act("boosted", "promote", { shutOut: true }), {
		code: "invalid-argument",
		message: /needs a reason/,
	});
	await t.rejects(ada.act("boosted", "promote", { shutOut: "yes" as never, reason: "x" }), {
		code: "invalid-argument",
	});
	await t.rejects((await as("root")).act("boosted", "abort", MEANT), {
		code: "invalid-argument",
		message: /unknown field/,
	});
	t.match(await ada.act("boosted", "promote", MEANT), {
		decision: { outcome: { reason: new RegExp(`, although .*${LOSS}; it takes over .* Reason: v1 is withdrawn$`) } },
	});
	t.equal(phase(), "Promoting");
	t.match(last(), {
		verb: "promote",
		result: "done",
		objects: ["Experiment boosted, arm boosted, though callers lose access"],
		why: "v1 is withdrawn",
	});
});

t.test("a promotion needs no flag once the policies allow all callers", async (t) => {
	const { as, owner, last, phase } = await scene(t);
	await owner.apply(file(ALL("[v1, v2]")), now);
	t.match(
		await (await as("ada")).act("boosted", "promote", MEANT),
		{ outcome: "done" },
		"and one too many does nothing",
	);
	t.match(last(), { objects: ["Experiment boosted, arm boosted"] });
	t.equal(phase(), "Promoting");
});

t.test("another person approves it; a policy change meanwhile does not widen the request", async (t) => {
	const { as, owner, phase } = await scene(t);
	await owner.apply(file(TWO), now);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const ask = async (options: Parameters<typeof ada.act>[2]) => {
		const asked = await ada.act("boosted", "promote", options);
		if (asked.outcome !== "pending") throw new Error(JSON.stringify(asked));
		return asked.request;
	};
	await t.rejects(ask({ reason: "better" }), { code: "failed-precondition" }, "before an approval is asked for");
	const meant = await ask(MEANT);
	t.same(meant.effects, ["promote Experiment boosted, arm boosted, though callers lose access"]);
	await owner.apply(file(ALL("[v1, v2]")), now);
	const plain = await ask({ reason: "better" });
	await owner.apply(file(ALL()), now);
	await t.rejects(bob.approve(plain.id), { code: "conflict", message: new RegExp(`the request is void: .*${LOSS}`) });
	t.equal(phase(), "Running");
	await owner.apply(file(ALL("[v1, v2]")), now);
	t.match(await bob.approve((await ask({ reason: "better" })).id), { state: "done" });
	t.equal(phase(), "Promoting");
});

t.test("a Service is promoted to one winner at a time, by persons too", async (t) => {
	const { as, owner, store } = await scene(t);
	await owner.act("boosted", "abort");
	const two = ["one", "other"].map((name, at) => experiment(name, `[${50 * at}%, ${50 * at + 50}%]`));
	await owner.apply(file(two.join("---\n")), now);
	const ada = await as("ada");
	await ada.act("one", "promote", MEANT);
	await t.rejects(ada.act("other", "promote", MEANT), {
		code: "failed-precondition",
		message: /^Experiment one of the same Service is being promoted/,
		hint: /weir promote one .* weir abort one /,
	});
	t.equal(store.current.status.experiments.other?.phase, "Running");
	t.match(await owner.standing("other"), { beingPromoted: "one" }, "as the status reports");
	await owner.act("one", "abort");
	t.notHas(await owner.standing("other"), "beingPromoted");
	await ada.act("other", "promote", MEANT);
	t.equal(store.current.status.experiments.other?.phase, "Promoting");
});

t.test("a promotion is approved of the Variant that it replaces, and while no other is under way", async (t) => {
	const { as, owner, store } = await scene(t);
	await owner.act("boosted", "abort");
	const next = [
		experiment("one", "[0%, 40%]"),
		experiment("other", "[40%, 70%]").replace("variant: v2", "variant: v3"),
		experiment("same", "[70%, 100%]"),
	];
	const three = CLOSED.replace(
		"variants:",
		"variants:\n    - {name: v3, endpoints: [{address: 127.0.0.1, port: 9003}]}",
	);
	await owner.apply(
		file([TWO, three, ALL("[v1, v2, v3]"), BETA.replace("[v2]", "[v2, v3]"), ...next].join("---\n")),
		now,
	);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const ask = async (name: string, who = ada) => {
		const asked = await who.act(name, "promote", { reason: "better" });
		if (asked.outcome !== "pending") throw new Error(JSON.stringify(asked));
		return asked.request.id;
	};
	const [first, second, third] = [await ask("one"), await ask("other"), await ask("other", owner)];
	const same = await ask("same");
	await bob.approve(first);
	await t.rejects(bob.approve(second), {
		code: "conflict",
		message: /^the request is void: Experiment one of the same Service is being promoted/,
		hint: /^wait for its end; weir promote one ends a holdback, /,
	});
	const status = store.current.status.experiments.one;
	if (status === undefined) throw new RangeError("no status");
	await store.decide({
		...{ experiment: "one", expectedRevision: store.current.revision, by: "weir", atMs: 1, input: null },
		outcome: outcome(completedStatus(store.experiment("one"), status, 1), { defaultVariant: "v2" }),
	});
	const changed = {
		code: "conflict",
		message: /void: the default Variant of Service employment has changed since revision \d+$/,
	};
	await t.rejects(bob.approve(third), changed);
	await t.rejects(bob.approve(same), changed, "of the same Variant as well: it replaces nothing any more");
});

t.test("a promotion survives an unchanged apply, and ends with a changed default", async (t) => {
	const { as, owner, store } = await scene(t);
	const status = store.current.status.experiments.boosted;
	if (status === undefined) throw new RangeError("no status");
	await (await as("ada")).act("boosted", "promote", MEANT);
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	await store.decide({
		...{ experiment: "boosted", expectedRevision: store.current.revision, by: "weir", atMs: 1, input: null },
		outcome: {
			...{ action: "complete", rule: "takeover", reason: "test", findings: [], srmP: null, expectedMs: null },
			status: { ...status, phase: "Promoted", promotion },
			defaultVariant: "v2",
		},
	});
	const applied = await owner.apply(file(await owner.getYaml()), now);
	t.ok(applied.outcome === "applied" && applied.changes.every(({ change }) => change === "unchanged"));
	await t.rejects(owner.act("boosted", "abort"), {
		code: "failed-precondition",
		hint: /with defaultVariant: v2, then with the one/,
	});
	const live = () => store.current.status.services.employment?.defaultVariant ?? null;
	await owner.apply(file(CLOSED), now);
	t.equal(live(), "v2", "a promotion survives an unchanged apply");
	await owner.apply(file(CLOSED.replace("defaultVariant: v1", "defaultVariant: v2")), now);
	await owner.apply(file(CLOSED), now);
	t.equal(live(), null, "undone as in the hint");
});
