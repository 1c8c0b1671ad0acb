/** A change that leaves too few approvers for a policy is refused: all further changes would wait for ever. */
import t from "tap";
import { file } from "../employment.js";
import { metricText } from "../guarded.js";
import { mutualApi, operator } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

const now = { dryRun: false };
const dry = { dryRun: true };
const policy = (approvals: number, namespaces = "['*']"): string => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: many}
spec: {verbs: [apply], namespaces: ${namespaces}, approvals: ${approvals}}
`;
const [one, two] = ["one", "two"].map((name) => binding(name, "approve", [name], "['*']")) as [string, string];
const group = binding("group", "approve", ["x"], "['*']").replace(operator("x"), "group:reviewers");

t.test("a policy that needs more approvers than exist is refused, with a hint what to bind first", async (t) => {
	const { owner, store } = await mutualApi(t);
	const short = {
		code: "failed-precondition",
		message: /ApprovalPolicy many wants 3 others to approve in all namespaces, and 0 could/,
		hint: /bind 3 more subjects with approve in all namespaces first/,
	};
	for (const how of [now, dry]) await t.rejects(owner.apply(file(policy(3)), how), short);
	t.match(store.audit.page(0, 10, "refused").records, [{ verb: "apply", why: short.message }]);
	t.match(await owner.apply(file(metricText("clicks", "default")), now), { outcome: "applied" }, "nothing is frozen");
	await owner.apply(file([one, two].join("---\n")), now);
	await t.rejects(owner.apply(file(policy(3)), now), { message: /wants 3 .* 2 could/ });
	t.match(await owner.apply(file(policy(2)), dry), { outcome: "applied" });
	await t.rejects(
		owner.apply(file([policy(2), one.replace("['*']", "[default]")].join("---\n")), now),
		{ message: /in all namespaces, and 1 could/ },
		"one namespace is not all",
	);
	await t.rejects(owner.apply(file([policy(3), group].join("---\n")), now), { message: /2 could, groups not counted/ });
	await t.rejects(owner.apply(file(policy(3, "[default]")), now), {
		message: /in namespace default, and 2 could/,
		hint: /bind 1 more subject with approve in namespace default first/,
	});
	t.match(
		await owner.apply(file([policy(3, "[default]"), group].join("---\n")), now),
		{ outcome: "applied" },
		"a group is enough in a namespace",
	);
});

t.test("the role of one of the last approvers cannot be removed", async (t) => {
	const { owner, as } = await mutualApi(t);
	await owner.apply(file([one, two, policy(2)].join("---\n")), now);
	const short = { code: "failed-precondition", message: /wants 2 .* 1 could/ };
	await t.rejects(owner.delete("RoleBinding", "one", now), short);
	await t.rejects(owner.apply(file(one.replace("approve", "read")), now), short);
	const more = await owner.apply(file(binding("three", "approve", ["three"], "['*']")), now);
	if (more.outcome !== "pending") throw new Error(more.outcome);
	for (const name of ["one", "two"]) await (await as(name)).approve(more.request.id);
	// With three there it may be asked for; by the time of its approval there are two again.
	const [gone, other] = [await owner.delete("RoleBinding", "one", now), await owner.delete("RoleBinding", "two", now)];
	if (gone.outcome !== "pending" || other.outcome !== "pending") throw new Error("not pending");
	for (const name of ["two", "three"]) await (await as(name)).approve(gone.request.id);
	await t.rejects((await as("three")).approve(other.request.id), { code: "conflict", message: /void: .* 1 could/ });
});

t.test("an approver cannot be removed if the author could not request the next change then", async (t) => {
	const { owner, as } = await mutualApi(t);
	const admin = binding("one", "admin", ["one"], "[default]");
	await owner.apply(file([admin, two, policy(2, "[default]")].join("---\n")), now);
	const leaver = await as("one");
	const short = { code: "failed-precondition", message: /wants 2 others to approve in namespace default, and 1 could/ };
	for (const how of [now, dry]) await t.rejects(leaver.delete("RoleBinding", "one", how), short);
	await t.rejects(
		leaver.apply(file(admin.replace("[admin]", "[apply]")), now),
		short,
		"who only applies approves nothing",
	);
	t.match(
		await leaver.apply(file(admin.replace("[admin]", "[approve]")), dry),
		{ outcome: "applied", approvals: 2 },
		"the owner may ask, and both approve",
	);
	// With a group beside them there are enough.
	const added = await leaver.apply(file(group.replace("['*']", "[default]")), now);
	if (added.outcome !== "pending") throw new Error(added.outcome);
	for (const client of [await as("two"), owner]) await client.approve(added.request.id);
	t.match(await leaver.delete("RoleBinding", "one", now), { outcome: "pending" });
});
