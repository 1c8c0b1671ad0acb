/** An approval policy binds its own namespace only: not other namespaces, and not the platform's admins. */
import t from "tap";
import type { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { RequestAnswer } from "../../../src/operate/api/wire.js";
import { file } from "../employment.js";
import { metricText, RULES_GATEWAY } from "../guarded.js";
import { type MutualApi, mutualApi, operator } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

const now = { dryRun: false };
const policy = (name: string, namespaces: string, more = ""): string => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: ${name}, namespace: ${namespaces === "'*'" ? "default" : namespaces}}
spec: {verbs: [apply], namespaces: [${namespaces}]${more}}
`;
const inTeam = (text: string): string => text.replace("metadata: {", "metadata: {namespace: team, ");
/** An approver without a user. */
const GHOST = inTeam(binding("ghost", "approve", ["x"], "[team]")).replace(operator("x"), "group:ghost");
const SLOW = RULES_GATEWAY.replace("port: 0", "port: 0\n  idleTimeout: 100s");
const applied = { outcome: "applied" };

/** The team's admin ann has locked it: ten approvals, and no approver. */
async function shut(t: Parameters<typeof mutualApi>[0], ...platform: readonly string[]): Promise<MutualApi> {
	const made = await mutualApi(t);
	const team = binding("team-admin", "admin", ["ann"], "[team]");
	await made.owner.apply(file([RULES_GATEWAY, team, ...platform].join("---\n")), now);
	await (await made.as("ann")).apply(file([GHOST, policy("own", "team", ", approvals: 10")].join("---\n")), now);
	return made;
}

async function pending(answer: ReturnType<ApiClient["apply"]>): Promise<RequestAnswer> {
	const made = await answer;
	if (made.outcome !== "pending") throw new Error(`not pending: ${made.outcome}`);
	return made.request;
}

t.test("a namespace's policy does not bind the platform's admins, who can unlock the namespace", async (t) => {
	const { owner, as, store } = await shut(t, binding("platform", "admin", ["zoe"], "['*']"));
	const zoe = await as("zoe");
	t.match(await owner.apply(file(SLOW), now), applied, "a Gateway");
	t.match(await zoe.apply(file(binding("carl", "approve", ["carl"], "['*']")), now), applied);
	t.match(await pending(owner.apply(file(metricText("clicks", "team")), now)), { needsIn: { team: 10 } });
	t.match(await zoe.delete("RoleBinding", "team-admin", now), applied);
	t.match(await zoe.delete("ApprovalPolicy", "team/own", now), applied);
	t.match(await owner.apply(file(metricText("clicks", "team")), now), applied);
	t.match(store.audit.page(0, 100).records.at(-2), {
		subject: operator("zoe"),
		verb: "delete",
		result: "done",
		objects: ["deleted ApprovalPolicy team/own"],
	});
});

t.test("other changes in the same request of platform admins wait as they would alone", async (t) => {
	const { owner } = await shut(t);
	const both = [metricText("clicks", "team"), policy("own", "team")].join("---\n");
	t.match(await pending(owner.apply(file(both), now)), { needsIn: { team: 10 } });
});

t.test("rights in the namespace alone, or without platform admin, bypass nothing", async (t) => {
	const wide = binding("wide", "apply, approve, promote", ["ann"], "['*']");
	const { as, store } = await shut(t, wide, binding("more", "admin", ["ann"], "[other]"));
	const ann = await as("ann");
	const second = inTeam(binding("second", "approve", ["ann2"], "[team]"));
	const wider = second.replace("namespaces: [team]", "namespaces: [team, other]");
	for (const text of [second, wider, policy("own", "team", ", approvals: 9")])
		t.match(await pending(ann.apply(file(text), now)), { needsIn: { team: 10 } });
	t.match(await pending(ann.delete("ApprovalPolicy", "team/own", now)), { needsIn: { team: 10 } });
	for (const text of [binding("third", "approve", ["ann2"], "['*']"), SLOW])
		await t.rejects(ann.apply(file(text), now), { code: "permission-denied" });
	t.equal(store.current.resources.roleBindings.length, 4);
});

t.test("a policy on all namespaces binds the platform's admins, and a namespace cannot change it", async (t) => {
	const platform = [binding("platform", "admin", ["zoe"], "['*']"), binding("carl", "approve", ["carl"], "['*']")];
	const { owner, as } = await shut(t, ...platform);
	await owner.apply(file(policy("all", "'*'").replace("[apply]", "[promote]")), now);
	const [zoe, ann, carl] = [await as("zoe"), await as("ann"), await as("carl")];
	t.match(await owner.apply(file(SLOW), now), applied, "promotions alone");
	t.match(await pending(owner.delete("ApprovalPolicy", "all", now)), { needsIn: { "*": 1 } });
	const freed = await pending(zoe.delete("ApprovalPolicy", "team/own", now));
	t.strictSame(freed.needsIn, { "*": 1 });
	for (const act of [() => ann.approve(freed.id), () => ann.reject(freed.id)])
		await t.rejects(act(), { code: "not-found" }, "it cannot be read there");
	const mine = await pending(owner.delete("RoleBinding", "team-admin", now));
	t.match(await carl.approve(freed.id), { state: "done" });
	t.match(await zoe.approve(mine.id), { state: "done" });
});

t.test("a requester that lost platform admin counts as a user of the namespace", async (t) => {
	const both = binding("zoe", "admin", ["zoe"], "[team]");
	const wide = [binding("wide", "admin", ["zoe"], "['*']"), binding("more", "approve", ["carl", "dan"], "['*']")];
	const { owner, as } = await shut(t, both, ...wide);
	await owner.apply(file(policy("all", "'*'")), now);
	const [zoe, carl, dan] = [await as("zoe"), await as("carl"), await as("dan")];
	const asked = await pending(zoe.delete("ApprovalPolicy", "team/own", now));
	const gone = await pending(owner.delete("RoleBinding", "wide", now));
	t.match(await carl.approve(gone.id), { state: "done" });
	t.match(await carl.approve(asked.id), { state: "pending" });
	t.match(await dan.approve(asked.id), { state: "pending" }, "ten of the team");
});

t.test("a policy on all namespaces needs approvers by name: members of a group are unknown", async (t) => {
	const { owner } = await mutualApi(t);
	const group = binding("group", "approve", ["x"], "['*']").replace(operator("x"), "group:ghost");
	await owner.apply(file(group), now);
	await t.rejects(owner.apply(file(policy("all", "'*'")), now), {
		code: "failed-precondition",
		message: /wants 1 others to approve in all namespaces, and 0 could, groups not counted/,
		hint: /bind 1 more subject with approve in all namespaces first/,
	});
	const named = binding("carl", "approve", ["carl"], "['*']");
	t.match(await owner.apply(file([named, policy("all", "'*'")].join("---\n")), now), applied);
	await t.rejects(owner.delete("RoleBinding", "carl", now), { message: /0 could, groups/ });
});
