/** Two-person approval over real certificates: what waits, who may approve, and when a request is void. */
import t from "tap";
import type { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { RequestAnswer } from "../../../src/operate/api/wire.js";
import type { Store } from "../../../src/operate/state/store/store.js";
import { ALL, experiment, file, METRIC, outcome, SERVICE } from "../employment.js";
import { type MutualApiOptions, mutualApi, operator, READS_NOTHING } from "../mutualApi.js";

const now = { dryRun: false };

const policy = (spec: string, name = "two"): string => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: ${name}}
spec: ${spec}
`;
const binding = (name: string, verbs: string, namespaces = "[default]"): string => `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verbs}], subjects: ["${operator(name)}"], namespaces: ${namespaces}}
`;
const PEOPLE = [
	binding("ada", "apply, promote, abort, approve"),
	binding("bob", "approve"),
	binding("carol", "approve"),
	binding("dave", "read"),
	binding("root", "admin"),
].join("---\n");

const CLICKS = METRIC.replace("accuracy", "clicks");
const clicks = (window: string): string => CLICKS.replace("window: 1s", `window: ${window}`);
const changed = clicks("2s");
const windowOf = ({ current }: Store): number | undefined =>
	current.resources.metrics.find(({ metadata }) => metadata.name === "clicks")?.spec.windowMs;

/** An API where ada asks, and bob, carol and dave look on. */
async function scene(t: Parameters<typeof mutualApi>[0], spec: string, more: MutualApiOptions = {}) {
	const made = await mutualApi(t, more);
	await made.owner.apply(file([ALL, CLICKS, PEOPLE].join("---\n")), now);
	await made.owner.apply(file(policy(spec)), now);
	const [ada, bob, carol, dave, root] = await Promise.all(["ada", "bob", "carol", "dave", "root"].map(made.as));
	if (!ada || !bob || !carol || !dave || !root) throw new Error("an operator is missing");
	return { ...made, ada, bob, carol, dave, root };
}

async function asked(client: ApiClient, text = changed): Promise<RequestAnswer> {
	const answer = await client.apply(file(text), now);
	if (answer.outcome !== "pending") throw new Error(`not pending: ${answer.outcome}`);
	return answer.request;
}

t.test("an apply waits, holds its exact content, and happens with the approval of another", async (t) => {
	const { ada, bob, dave, store } = await scene(t, "{verbs: [apply], namespaces: [default]}");
	t.match(await ada.apply(file(changed), { dryRun: true }), { outcome: "applied" }, "a dry run waits for no approval");
	const request = await asked(ada);
	t.match(request, {
		state: "pending",
		askedBy: operator("ada"),
		effects: ["configured Metric clicks: spec.window"],
		namespaces: ["default"],
		needs: 1,
		approvals: [],
		operation: { verb: "apply", files: [{ text: changed }] },
	});
	const { revision } = store.current;
	t.equal(windowOf(store), 1_000, "nothing happened yet");
	await t.rejects(ada.approve(request.id), { code: "permission-denied", message: /another one must approve/ });
	await t.rejects(dave.approve(request.id), { code: "permission-denied" });
	t.match(
		await bob.request(request.id),
		{ operation: { files: [{ text: changed }] } },
		"who approves reads what it is",
	);
	t.match(await bob.approve(request.id), { state: "done", approvals: [{ by: operator("bob") }] });
	t.equal(windowOf(store), 2_000);
	t.equal(store.current.revision, revision + 1);
	await t.rejects(bob.approve(request.id), { code: "failed-precondition" }, "once");
	t.match(
		store.audit
			.page(2, 10)
			.records.map(({ subject, verb, result, request: id, askedBy, approvedBy, revisionAfter }) => ({
				subject,
				verb,
				result,
				id,
				askedBy,
				approvedBy,
				revisionAfter,
			})),
		[
			{ subject: operator("ada"), verb: "apply", result: "pending", id: request.id },
			{ subject: operator("bob"), verb: "approve", result: "done" },
			{
				subject: operator("bob"),
				verb: "apply",
				result: "done",
				id: request.id,
				askedBy: operator("ada"),
				approvedBy: [operator("bob")],
				revisionAfter: revision + 1,
			},
		],
	);
	t.match(store.audit.page(0, 10, "refused").records, [
		{ subject: operator("ada"), verb: "approve", result: "refused" },
		{ subject: operator("dave"), verb: "approve", result: "refused" },
	]);
});

t.test("a repeated request is the pending one, until its resources have changed", async (t) => {
	const { ada, bob, owner } = await scene(t, "{verbs: [apply], namespaces: [default]}");
	const [first, again] = [await asked(ada), await asked(ada)];
	t.equal(again.id, first.id);
	t.not((await asked(owner)).id, first.id, "another asker's is another one");
	const other = await asked(ada, clicks("3s"));
	t.match(await bob.approve(other.id), { state: "done" });
	t.not((await asked(ada)).id, first.id);
	await t.rejects(bob.approve(first.id), {
		code: "conflict",
		message: "the request is void: Metric clicks has changed since revision 2",
	});
});

t.test("two approvals need two subjects", async (t) => {
	const { ada, bob, carol, store } = await scene(t, "{verbs: [apply], namespaces: [default], approvals: 2}");
	const { id } = await asked(ada);
	t.match(await bob.approve(id), { state: "pending" });
	await t.rejects(bob.approve(id), { code: "failed-precondition", message: /already/ });
	t.equal(windowOf(store), 1_000);
	t.match(await carol.approve(id), { state: "done" });
	t.equal(windowOf(store), 2_000);
});

t.test("an approval stops counting when its approver or the author loses the right", async (t) => {
	const { ada, bob, carol, root, owner, store } = await scene(
		t,
		"{verbs: [promote], namespaces: [default], approvals: 2}",
	);
	const answer = await ada.act("boosted", "promote");
	if (answer.outcome !== "pending") throw new Error("not pending");
	await bob.approve(answer.request.id);
	// A change of bindings waits too.
	const gone = await root.delete("RoleBinding", "bob", now);
	if (gone.outcome !== "pending") throw new Error("not pending");
	await carol.approve(gone.request.id);
	t.match(await ada.approve(gone.request.id), { state: "done" });
	t.match(await carol.approve(answer.request.id), { state: "pending" }, "bob's does not count any more");
	t.equal(store.current.status.experiments.boosted?.phase, "Running");
	const out = await root.delete("RoleBinding", "ada", now);
	if (out.outcome !== "pending") throw new Error("not pending");
	await carol.approve(out.request.id);
	t.match(await ada.approve(out.request.id), { state: "done" });
	await owner.approve(answer.request.id).then(
		() => t.fail("it must be void"),
		(error) => t.match(error, { code: "conflict", message: /may not do it any more|not-found|void/ }),
	);
	t.equal((await owner.request(answer.request.id)).state, "void");
	t.equal(store.current.status.experiments.boosted?.phase, "Running");
});

t.test("a request is void if its author lost read or apply", async (t) => {
	const { ada, bob, carol, root, store } = await scene(t, "{verbs: [apply], namespaces: [default]}");
	const { id } = await asked(ada);
	const { id: dismissal } = await asked(root, binding("ada", "read"));
	t.match(await bob.approve(dismissal), { state: "done" });
	const message = `the request is void: ${operator("ada")} may not do it any more`;
	await t.rejects(carol.approve(id), { code: "conflict", message });
	t.match(await carol.request(id), { state: "void" });
	t.equal(windowOf(store), 1_000);
});

t.test("a request is void when its resources have changed", async (t) => {
	const { ada, bob, root, owner, store } = await scene(t, "{verbs: [apply], namespaces: [default]}");
	const [first, second] = [await asked(ada), await asked(root, clicks("3s"))];
	await bob.approve(second.id);
	const { revision } = store.current;
	await t.rejects(bob.approve(first.id), {
		code: "conflict",
		message: /void: Metric clicks has changed since revision 2/,
	});
	t.match(await ada.request(first.id), { state: "void", why: /has changed/ });
	t.equal(store.current.revision, revision, "nothing happened");
	t.equal(windowOf(store), 3_000);
	// What else it holds and does not change may have changed since: it would be put back unseen.
	const fresh = METRIC.replaceAll("accuracy", "fresh");
	const third = await asked(ada, [clicks("3s"), fresh].join("---\n"));
	const fourth = await asked(root, clicks("4s"));
	await bob.approve(fourth.id);
	await t.rejects(bob.approve(third.id), { code: "conflict" });
	t.equal(windowOf(store), 4_000);
	t.match(store.audit.page(0, 100, "refused").records.at(-1), {
		verb: "approve",
		result: "refused",
		request: third.id,
		why: /void/,
	});
	t.match(await owner.requests(), [{ state: "void" }, { state: "done" }, { state: "void" }, { state: "done" }]);
});

t.test("a ramp under way voids no promotion, an end or a closed arm does", async (t) => {
	const { ada, bob, store } = await scene(t, "{verbs: [promote, abort], namespaces: [default]}");
	const move = async (change: object) => {
		const status = store.current.status.experiments.boosted;
		if (status === undefined) throw new Error("no status");
		const made = outcome({ ...status, ...change });
		await store.decide({
			experiment: "boosted",
			expectedRevision: store.current.revision,
			by: "weir",
			atMs: 1,
			input: null,
			outcome: made,
		});
	};
	const ask = async (verb: "promote" | "abort") => {
		const answer = await ada.act("boosted", verb, { reason: "it is time" });
		if (answer.outcome !== "pending") throw new Error("not pending");
		return answer.request;
	};
	const [abort, promote] = [await ask("abort"), await ask("promote")];
	t.match(
		promote.operation,
		{ verb: "promote", experiment: "boosted", arm: "boosted" },
		"the arm is settled when it is asked",
	);
	await move({ allocationPpm: 100_000, stepIndex: 1 });
	t.match(await bob.approve(promote.id), { state: "done" });
	const decision = (await ada.decisions("boosted", 0)).decisions.at(-1);
	t.match(decision, { by: operator("ada"), outcome: { action: "promote" } });
	t.match(decision?.outcome.reason, new RegExp(`Approved by ${operator("bob")}\\. Reason: it is time`));
	await t.rejects(bob.approve(abort.id), { code: "conflict" }, "the abort was of an Experiment that still ran");
	t.equal(store.current.status.experiments.boosted?.phase, "Promoting");
});

t.test("lists of requests and of records show the arm of a promotion", async (t) => {
	const { as, owner, store } = await mutualApi(t);
	const many = [
		SERVICE.replace(/( +- \{name: )v2(.*)9002(.*)/, "$&\n$1v3$29003$3"),
		METRIC,
		experiment("boosted").replace(/( +- \{name: )boosted, variant: v2(.*)/, "$&\n$1deep, variant: v3$2"),
	];
	const made = await owner.apply(
		file([...many, PEOPLE, policy("{verbs: [promote], namespaces: [default]}")].join("---\n")),
		now,
	);
	t.equal(made.outcome, "applied", JSON.stringify(made));
	const [ada, bob, root] = [await as("ada"), await as("bob"), await as("root")];
	for (const arm of ["boosted", "deep"]) await ada.act("boosted", "promote", { arm });
	const effects = (await bob.requests()).map((one) => one.effects);
	t.same(effects, [["promote Experiment boosted, arm boosted"], ["promote Experiment boosted, arm deep"]]);
	await bob.approve((await bob.requests())[1]?.id ?? "");
	const { records } = await owner.audit(0, 100, "operations");
	const objects = (verb: string) => records.filter((one) => one.verb === verb).map((one) => one.objects);
	const deep = ["promote Experiment boosted, arm deep"];
	t.same(objects("promote"), [["Experiment boosted, arm boosted"], ["Experiment boosted, arm deep"], deep]);
	t.same(objects("approve"), [deep]);
	await t.rejects(root.act("boosted", "promote", { arm: "deep\u202e" }));
	t.notMatch(
		JSON.stringify(store.audit.page(0, 100, "refused").records),
		"\u202e",
		"an invalid arm is not recorded as one",
	);
});

t.test("a pause and statistical decisions need no approval; a resume needs it like a promotion", async (t) => {
	const { ada, store } = await scene(t, "{verbs: [apply, promote, abort], namespaces: [default]}");
	t.match(await ada.act("boosted", "pause"), { outcome: "done" });
	t.match(await ada.act("boosted", "resume"), { outcome: "pending" });
	await t.rejects(
		ada.act("boosted", "promote", { arm: "none" }),
		{ code: "not-found" },
		"an impossible request is refused at once",
	);
	const status = store.current.status.experiments.boosted;
	if (status === undefined) throw new Error("no status");
	const made = outcome({ ...status, phase: "RolledBack", allocationPpm: 0 }, { action: "roll-back", rule: "harm" });
	const expectedRevision = store.current.revision;
	await store.decide({ experiment: "boosted", expectedRevision, by: "weir", atMs: 1, input: null, outcome: made });
	t.equal(store.current.status.experiments.boosted?.phase, "RolledBack");
});

t.test("no single user can be the second approver, or delete the policy alone", async (t) => {
	const { root, owner, store } = await scene(t, "{verbs: [promote], namespaces: [default]}");
	const me = binding("me", "approve");
	t.match(await root.apply(file(me), now), { outcome: "pending" });
	t.match(await root.delete("ApprovalPolicy", "two", now), { outcome: "pending" });
	t.match(await root.apply(file(policy("{verbs: [abort], namespaces: [default]}")), now), { outcome: "pending" });
	const free = { outcome: "applied", approvals: 0 };
	t.match(await owner.delete("ApprovalPolicy", "two", { dryRun: true }), free, "the platform's admins are above it");
	t.match(await root.apply(file(changed), now), { outcome: "applied" }, "what no policy names happens at once");
	t.equal(store.current.resources.approvalPolicies.length, 1);
	t.equal(store.current.resources.roleBindings.length, 5);
});

t.test("a request ends by expiry, by a rejection, or by its author", async (t) => {
	let nowMs = Date.now();
	const { ada, bob, dave, carol, owner } = await scene(t, "{verbs: [apply], namespaces: [default], expire: 1h}", {
		now: () => nowMs,
	});
	const [late, rejected, withdrawn] = [
		await asked(ada),
		await asked(ada, `${changed}# 2\n`),
		await asked(ada, `${changed}# 3\n`),
	];
	await t.rejects(dave.reject(rejected.id), { code: "permission-denied" });
	t.match(await carol.reject(rejected.id, "not on a Friday"), {
		state: "rejected",
		why: `rejected by ${operator("carol")}: not on a Friday`,
	});
	await t.rejects(bob.approve(rejected.id), { code: "failed-precondition", message: /Friday/ });
	t.match(await ada.reject(withdrawn.id), { state: "rejected" });
	nowMs += 3_600_000;
	await t.rejects(bob.approve(late.id), { code: "failed-precondition", message: /it has expired/ });
	t.match(await ada.request(late.id), { state: "void" });
	nowMs += 31 * 24 * 3_600_000;
	await asked(ada);
	t.equal((await owner.requests()).length, 1, "finished requests are not kept for ever");
});

t.test("requests are visible to readers of their namespaces", async (t) => {
	const { ada, as, bob, owner, store } = await scene(t, "{verbs: [apply], namespaces: [default]}");
	const { id } = await asked(ada);
	const eve = await as("eve");
	await t.rejects(eve.requests(), READS_NOTHING);
	for (const act of [() => eve.request(id), () => eve.approve(id), () => eve.reject(id)]) {
		await t.rejects(act(), { code: "not-found" });
	}
	const tried = store.audit.page(0, 100, "refused").records.filter(({ subject }) => subject === operator("eve"));
	t.match(
		tried.map(({ verb, objects, namespaces, why }) => ({ verb, objects, namespaces, why })),
		[
			{ verb: "read", objects: ["/v1/approvals"] },
			...["approve", "reject"].map((verb) => ({
				verb,
				objects: [`request ${id}`],
				namespaces: ["default"],
				why: /needs the verb read there; the answer was "not found"/,
			})),
		],
		"a minute's reads are one record, and each act has its own",
	);
	t.equal((await owner.request(id)).id, id);
	await t.rejects(owner.approve("0".repeat(20)), { code: "not-found" });
	t.equal(store.audit.page(0, 100, "refused").records.length, tried.length, "who sees all has mistyped");
	t.equal((await bob.requests()).length, 1);
});
