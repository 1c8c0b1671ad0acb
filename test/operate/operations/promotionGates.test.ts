/** A person's promotion asks the gates before-promotion and before-step; a no holds it, an admin may override. */
import t from "tap";
import { file, SERVICE } from "../employment.js";
import { mutualApi } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";
import { TWO } from "../operatorScene.js";
import { GATED as ALL, gatedScene as scene } from "./gatedScene.js";

const now = { dryRun: false };
const policy = (name: string, who: string, variant: string) =>
	`apiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: ${name}}\nspec: {services: [employment], principals: ["${who}"], variants: [${variant}]}\n`;
/** A policy by which callers lose access when v2 is promoted. */
const RULES = [
	SERVICE.replace("  access: open\n", ""),
	policy("all-may-v1", "spiffe://weir.test/*", "v1"),
	policy("beta-may-v2", "spiffe://weir.test/beta", "v2"),
].join("---\n");

t.test("gates are asked in order until the first no; a caller without the right asks none", async (t) => {
	const { asked, answers, as, store } = await scene(t);
	const [ada, bob] = [await as("ada"), await as("bob")];
	await t.rejects(bob.act("boosted", "promote"), { code: "permission-denied" });
	t.equal(asked.length, 0);
	answers.push({ ok: true }, { ok: false, why: "HTTP 500" });
	await t.rejects(ada.act("boosted", "promote"), {
		code: "failed-precondition",
		message: "gate before-promotion (ci.example) did not let it happen: HTTP 500",
		hint: /--override-gates/,
	});
	t.match(asked, [
		{
			at: "before-promotion",
			experiment: "boosted",
			action: "promote",
			from: { phase: "Running" },
			to: { phase: "Promoting", arm: "boosted" },
			id: /before-promotion\/0\/promote-.*-person$/,
		},
		{ id: /before-promotion\/1\// },
	]);
	t.match(store.current.status.experiments.boosted, { phase: "Running" });
	t.match(store.audit.page(0, 1_000, "refused").records.at(-1), {
		verb: "promote",
		result: "refused",
		subject: /ada$/,
		why: /HTTP 500/,
	});
	t.match(await ada.act("boosted", "pause"), { outcome: "done" }, "other verbs ask no gate");
	t.equal(asked.length, 2);
	t.match(await ada.act("boosted", "promote"), { outcome: "done" });
	t.match(asked.slice(2), [
		{ at: "before-promotion" },
		{ at: "before-promotion" },
		{ at: "before-step", action: "promote", to: { takeoverPpm: 20_000 }, id: /before-step\/0\/promote-.*-person$/ },
	]);
	t.match(store.current.status.experiments.boosted, { phase: "Promoting" });
});

t.test("a takeover of all traffic at once asks the step's gate, also after an edit of the steps", async (t) => {
	const { asked, answers, owner, as, store } = await scene(t);
	const rules = [
		binding("pam", "apply, promote", ["pam"], "[default]"),
		binding("root", "apply, promote, admin", ["root"], "[default]"),
	];
	await owner.apply(file(rules.join("---\n")), now);
	const [pam, root] = [await as("pam"), await as("root")];
	const stepsAlone = (text: string) =>
		text.replace(/ +- \{at: before-promotion.*\n/g, "").replace("name: boosted}", "name: steps}");
	const [, , gatedDocument = ""] = ALL.split("---\n");
	await owner.act("boosted", "abort");
	await owner.apply(file(stepsAlone(gatedDocument)), now);
	const at100 = file(stepsAlone(gatedDocument).replace("[2%, 10%, 50%, 100%]", "[100%]"));
	t.match(await pam.apply(at100, now), { outcome: "applied" });
	asked.length = 0;
	answers.push({ ok: false, why: "no" });
	await t.rejects(pam.act("steps", "promote"), {
		code: "failed-precondition",
		message: "gate before-step (ci.example) did not let it happen: no",
	});
	t.match(asked, [{ at: "before-step", to: { takeoverPpm: 1_000_000 } }]);
	const override = { overrideGates: true, reason: "the gate is down" };
	await t.rejects(pam.act("steps", "promote", override), { code: "permission-denied", message: /admin in/ });
	t.match(store.current.status.experiments.steps, { phase: "Running" });
	t.match(await root.act("steps", "promote", override), {
		decision: { outcome: { reason: /Its gates were not asked: overridden by/ } },
	});
	t.match(store.current.status.experiments.steps, { promotion: { takeoverPpm: 1_000_000 } });
});

t.test("a change during a gate's answer makes its yes void", async (t) => {
	const { answers, as, store } = await scene(t);
	const ada = await as("ada");
	answers.push(async () => {
		await ada.act("boosted", "abort").catch(() => {});
		await ada.act("boosted", "pause");
		return { ok: true };
	});
	await t.rejects(ada.act("boosted", "promote"), { code: "conflict", message: /moved while its gates were asked/ });
	t.match(store.current.status.experiments.boosted, { phase: "Paused" });
});

t.test("an override needs an admin and a reason, and is in the decision and the audit log", async (t) => {
	const { asked, as, store } = await scene(t);
	const [ada, root] = [await as("ada"), await as("root")];
	const override = { overrideGates: true, reason: "the gate is down" };
	await t.rejects(ada.act("boosted", "promote", override), {
		code: "permission-denied",
		message: /admin in namespace/,
	});
	await t.rejects(root.act("boosted", "promote", { overrideGates: true }), { code: "invalid-argument" });
	await t.rejects(root.act("boosted", "abort", override), { code: "invalid-argument", message: /unknown field/ });
	t.match(await root.act("boosted", "promote", override), {
		decision: {
			outcome: { reason: /Its gates were not asked: overridden by spiffe:.*root\. Reason: the gate is down$/ },
		},
	});
	t.equal(asked.length, 0);
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "promote",
		result: "done",
		objects: ["Experiment boosted, arm boosted, overriding its gates"],
		why: "the gate is down",
	});
});

t.test(
	"where others must approve, the gates are asked with the last approval, and a no leaves the request",
	async (t) => {
		const { asked, answers, as, owner, store } = await scene(t);
		await owner.apply(file(TWO), now);
		const [ada, bob] = [await as("ada"), await as("bob")];
		const pending = await ada.act("boosted", "promote");
		t.match(pending, { outcome: "pending" });
		if (pending.outcome !== "pending") return;
		t.equal(asked.length, 0);
		await t.rejects(ada.approve(pending.request.id), { code: "permission-denied" });
		t.equal(asked.length, 0, "without the right to approve no gate is asked");
		answers.push({ ok: false, why: "not yet" });
		await t.rejects(bob.approve(pending.request.id), { code: "failed-precondition", message: /not yet/ });
		t.match(await bob.request(pending.request.id), { state: "pending", approvals: [] });
		t.match(
			await ada.act("boosted", "promote"),
			{ request: { id: pending.request.id } },
			"asked for again, it waits once",
		);
		t.match(await bob.approve(pending.request.id), { state: "done" });
		t.match(store.current.status.experiments.boosted, { phase: "Promoting" });
		t.same(
			(await bob.requests()).map(({ state }) => state),
			["done"],
		);
	},
);

t.test("a request that became impossible is void at its last approval, and no gate is asked", async (t) => {
	const { asked, answers, as, owner, store } = await scene(t);
	await owner.apply(file(TWO), now);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const changes: readonly (readonly [what: string, change: () => Promise<unknown>, why: RegExp])[] = [
		["it is paused", () => owner.act("boosted", "pause"), /has changed since revision \d+$/],
		[
			"it would shut callers out",
			() => owner.apply(file(RULES), now),
			/is void: a promotion of arm boosted would deny callers/,
		],
	];
	for (const [what, change, why] of changes) {
		const pending = await ada.act("boosted", "promote");
		if (pending.outcome !== "pending") throw new Error(pending.outcome);
		const { id } = pending.request;
		await change();
		answers.length = 0;
		answers.push({ ok: false, why: "not yet" });
		await t.rejects(bob.approve(id), { code: "conflict", message: why, hint: /ask again/ }, what);
		t.equal(asked.length, 0, `${what}: no gate is asked in vain`);
		t.match(
			(await bob.requests()).find((one) => one.id === id),
			{ state: "void", approvals: [], why },
			what,
		);
		const { records } = store.audit.page(0, 1_000, "refused");
		t.match(records.at(-1), { verb: "approve", subject: /bob$/, result: "refused", why }, what);
		if (what === "it is paused") await owner.act("boosted", "resume");
	}
});

t.test("an approver that lost and regained its right completes the request", async (t) => {
	const { asked, as, owner, store } = await scene(t);
	const may = (name: string) => owner.apply(file(binding(name, "approve", [name], "[default]")), now);
	await may("carol");
	await may("dave");
	await owner.apply(file(TWO.replace("verbs: [promote]", "verbs: [promote], approvals: 2")), now);
	const [ada, bob, carol] = [await as("ada"), await as("bob"), await as("carol")];
	const pending = await ada.act("boosted", "promote");
	if (pending.outcome !== "pending") throw new Error(pending.outcome);
	const { id } = pending.request;
	t.match(await bob.approve(id), { state: "pending" });
	await t.rejects(bob.approve(id), { code: "failed-precondition", message: /has approved it already/ });
	await owner.delete("RoleBinding", "bob", now);
	t.match(await carol.approve(id), { state: "pending" });
	t.equal(asked.length, 0, "no gate is asked in vain");
	await t.rejects(
		carol.approve(id),
		{ message: /has approved it already/ },
		"alone, again and again, it is not enough",
	);
	await may("bob");
	t.match(await bob.approve(id), { state: "done", approvals: [{ by: /bob$/ }, { by: /carol$/ }] });
	t.match(asked, [{ at: "before-promotion" }, { at: "before-promotion" }, { at: "before-step" }]);
	t.match(store.current.status.experiments.boosted, { phase: "Promoting" });
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "promote",
		result: "done",
		approvedBy: [/bob$/, /carol$/],
	});
});

t.test("promotions wait if control cannot ask the gates", async (t) => {
	const { owner } = await mutualApi(t);
	await owner.apply(file(ALL), now);
	await t.rejects(owner.act("boosted", "promote"), { code: "failed-precondition", message: /no way to ask/ });
});
