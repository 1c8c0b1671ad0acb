/** `weir policy rollback`: the rules of an earlier revision as one change, whole or not at all, by role, on the record. */
import t from "tap";
import { qualifiedName } from "../../src/resources/resource.js";
import { Store } from "../../src/state/store/store.js";
import { experiment, file, temporaryDirectory } from "../state/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { type MutualApi, mutualApi } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";
import { operatorCommand } from "./operatorCommand.js";

t.setTimeout(120_000);
const now = { dryRun: false };

const policies = ({ store }: Pick<MutualApi, "store">): readonly string[] =>
	store.current.resources.accessPolicies.map(
		({ metadata, spec }) => `${qualifiedName(metadata)} ${spec.methods.join("+") || "any"}`,
	);

t.test("undoes the last change, goes back to any revision, and leaves facts and other kinds alone", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	t.match(await local("policy", "rollback"), {
		code: 1,
		stderr: /no earlier access rules are kept; apply the older file/,
	});
	const all = [RULES_GATEWAY, serviceText("employment"), policyText("callers", "employment"), metricText("accuracy")];
	await owner.apply(file([...all, experiment("boosted")].join("---\n")), now);
	const first = store.current.revision;
	t.same(policies(made), ["callers any"]);
	await owner.apply(file(policyText("callers", "employment", "default", "  methods: [GET]\n")), now);
	const second = store.current.revision;
	await owner.act("boosted", "pause");
	await owner.apply(file(metricText("later")), now);
	await owner.apply(
		file(
			`${policyText("more", "employment")}---\n${policyText("callers", "employment", "default", "  methods: [PUT]\n")}`,
		),
		now,
	);
	t.same(policies(made), ["callers PUT", "more any"]);

	const before = store.current.revision;
	const dry = await local("policy", "rollback", "--dry-run");
	t.match(dry, { code: 0, out: "configured AccessPolicy callers (dry run)\ndeleted AccessPolicy more (dry run)\n" });
	t.equal(store.current.revision, before);
	t.match(await local("policy", "rollback"), {
		code: 0,
		out: /configured AccessPolicy callers\ndeleted AccessPolicy more/,
	});
	t.equal(store.current.revision, before + 1, "one change of the newest state");
	t.same(policies(made), ["callers GET"]);
	t.match(
		store.current.resources.metrics.map(({ metadata }) => metadata.name),
		["accuracy", "later"],
	);
	t.match(store.current.status.experiments.boosted, { phase: "Paused" }, "facts stay");
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "rollback",
		result: "done",
		subject: "local:owner",
		why: `to the access rules of revision ${before - 1}`,
		objects: [
			`access rules as of revision ${before - 1}`,
			"configured AccessPolicy callers",
			"deleted AccessPolicy more",
		],
	});
	t.match(await local("policy", "rollback"), { code: 0 }, "the last change was the rollback");
	t.same(policies(made), ["callers PUT", "more any"]);
	t.match(await local("policy", "rollback", "--to", String(first)), { code: 0 });
	t.same(policies(made), ["callers any"]);
	t.match(await local("policy", "rollback", "--to", String(second)), { code: 0 });
	t.same(policies(made), ["callers GET"], "forward again too");
	t.match(await local("policy", "rollback", "--to", String(second)), { code: 0, out: "nothing changes\n" });
	const list = await local("policy", "rollback", "--list");
	t.match(list.out, new RegExp(`^ +${second} {2}\\S+ {2}by local:owner {2}configured AccessPolicy callers$`, "m"));
	t.match(list.out, new RegExp(`\\(back to ${second}\\)`));
	t.match(list.out, /the rules before all of these: --to 0\n$/);
	t.match(await local("policy", "rollback", "--to", "999"), { code: 64, stderr: /revision 999 is not yet made/ });
	t.match(await local("policy", "rollback", "--to", "x"), { code: 64, stderr: /no revision/ });
	t.match(await local("policy", "rollback", "--to", "0"), {
		code: 0,
		out: "nothing changes:\nkept AccessPolicy callers: it came later, and what it is for would be left without\n",
	});
	t.same(policies(made), ["callers GET"], "the Service is there, so its rules stay");
});

t.test("what would be refused now is refused whole, with the place in the older text", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	const only = policyText("callers", "employment", "default", "  variants: [v2]\n");
	await owner.apply(file([RULES_GATEWAY, serviceText("employment"), only].join("---\n")), now);
	await owner.apply(file(policyText("callers", "employment")), now);
	const without = serviceText("employment").replace(/^ {4}- \{name: v2.*\n/m, "");
	await owner.apply(file(without), now);
	const { revision } = store.current;
	t.match(await local("policy", "rollback"), {
		code: 1,
		stderr: /^revision 1 AccessPolicy callers:8:14: unknown variant "v2" of Service employment; /,
	});
	t.equal(store.current.revision, revision);
	t.match(store.audit.page(0, 1_000, "refused").records.at(-1), {
		verb: "rollback",
		result: "refused",
		why: /^1 problem in/,
	});
	const gone = { kind: "AccessPolicy" as const, name: "callers" };
	await owner.deleteAll([gone, { kind: "Service", name: "employment" }], now);
	t.match(await local("policy", "rollback"), {
		code: 0,
		out: "nothing changes:\nleft out AccessPolicy callers: the Services that it was about are gone\n",
	});
});

t.test("past a deleted Service the rest goes back, and what was only about it is left out", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	const deny = policyText("shut", "cart").replace(/action: allow.*/, "action: deny");
	const both = policyText("both", "cart").replace('["cart"]', '["cart", "employment"]');
	const all = [RULES_GATEWAY, serviceText("employment"), policyText("callers", "employment"), serviceText("cart")];
	await owner.apply(file([...all, policyText("cart", "cart"), deny].join("---\n")), now);
	const first = store.current.revision;
	await owner.apply(file(policyText("callers", "employment", "default", "  methods: [PUT]\n")), now);
	const policy = (name: string) => ({ kind: "AccessPolicy" as const, name });
	await owner.deleteAll([{ kind: "Service", name: "cart" }, policy("cart"), policy("shut")], now);
	const left =
		/^configured AccessPolicy callers.*\nleft out AccessPolicy cart: .*gone.*\nleft out AccessPolicy shut: .*\n$/;
	t.match(await local("policy", "rollback", "--to", String(first), "--dry-run"), { code: 0, out: left });
	t.match(await local("policy", "rollback", "--to", String(first)), { code: 0, out: left });
	t.same(policies(made), ["callers any"]);
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "rollback",
		result: "done",
		objects: [
			/revision/,
			"leaves out AccessPolicy cart, whose Services are gone",
			"leaves out AccessPolicy shut, whose Services are gone",
			/configured/,
		],
	});

	await owner.apply(file([serviceText("cart"), both].join("---\n")), now);
	await owner.apply(file(policyText("cart", "cart")), now);
	const shared = store.current.revision;
	await owner.deleteAll([{ kind: "Service", name: "cart" }, policy("cart"), policy("both")], now);
	t.match(await local("policy", "rollback", "--to", String(shared)), {
		code: 1,
		stderr: /unknown Service "cart"/,
	});
	t.same(policies(made), ["callers any"], "refused whole: without it employment would be judged otherwise");
});

t.test("past the creation of a Service its rules stay and the rest goes back, or it is said why not", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	const classed = serviceText("late", "default", "  dataClass: fresh\n");
	const dataClass = `apiVersion: weir.dev/v1alpha1\nkind: DataClass\nmetadata: {name: NAME}\nspec: {regions: [eu]}\n`;
	await owner.apply(
		file([RULES_GATEWAY, serviceText("employment"), policyText("callers", "employment")].join("---\n")),
		now,
	);
	await owner.apply(file(policyText("wrong", "employment")), now);
	const late = [classed, policyText("late", "late"), policyText("late2", "late")];
	await owner.apply(
		file([...late, dataClass.replace("NAME", "fresh"), dataClass.replace("NAME", "spare")].join("---\n")),
		now,
	);
	t.match(await local("policy", "rollback", "--to", "1"), {
		code: 0,
		out: /^deleted DataClass spare\ndeleted AccessPolicy wrong\nkept AccessPolicy late: .*\nkept AccessPolicy late2: .*\nkept DataClass fresh: .*\n$/,
	});
	const names = () => store.current.resources.accessPolicies.map(({ metadata }) => metadata.name);
	t.same(names(), ["callers", "late", "late2"]);
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "rollback",
		result: "done",
		objects: [
			"access rules as of revision 1",
			"keeps AccessPolicy late, which came later",
			/keeps.*late2/,
			/keeps.*fresh/,
			/deleted.*wrong/,
			/deleted.*spare/,
		],
	});

	const both = policyText("both", "late").replace('["late"]', '["late", "employment"]');
	await owner.apply(file(both), now);
	const gone = ["late", "late2"].map((name) => ({ kind: "AccessPolicy" as const, name }));
	await owner.deleteAll(gone, now);
	t.match(await local("policy", "rollback", "--to", "1"), {
		code: 1,
		stderr:
			/^stored Service late:\d+:\d+: Service late had no rules at revision 1, and nobody could call it after the rollback; declare an AccessPolicy for it alone/,
	});
	t.same(names(), ["both", "callers"], "refused whole: it would widen what employment had");
});

t.test("by role: of the own namespace, with a second person, and a revoked grant stays revoked", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { as, local } = await operatorCommand(t, made);
	const rules = [
		binding("ada", "apply", ["ada"], "[team]"),
		binding("bob", "approve", ["bob"], "[team]"),
		binding("eve", "read", ["eve"], "[team]"),
	];
	const both = ["team", "other"].flatMap((one) => [serviceText("cart", one), policyText("callers", "cart", one)]);
	await owner.apply(file([RULES_GATEWAY, ...rules, ...both].join("---\n")), now);
	await owner.apply(file(policyText("callers", "cart", "team", "  methods: [GET]\n")), now);
	await owner.apply(file(policyText("callers", "cart", "other", "  methods: [PUT]\n")), now);
	const [ada, bob, eve] = [await as("ada"), await as("bob"), await as("eve")];
	t.match(await eve("policy", "rollback"), { code: 1, stderr: /no RoleBinding lets .*eve apply in any namespace/ });
	t.notMatch((await ada("policy", "rollback", "--list")).out, /other/, "what may not be seen is not there");
	t.match(await ada("policy", "rollback", "-n", "other"), { code: 1, stderr: /no earlier access rules are kept/ });
	await owner.apply(
		file(
			"apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [apply], namespaces: [team]}\n",
		),
		now,
	);
	const ask = async (): Promise<string> =>
		/weir approve ([0-9a-f]{16})/.exec((await ada("policy", "rollback")).out)?.[1] ?? "";
	const first = await ask();
	t.match(await bob("requests", first), {
		out: /access rules as of revision 1\n +configured AccessPolicy team\/callers: spec\.methods\n +AccessPolicy team\/callers may let in more at Services of namespace team \(\w+\): allow widened: team\/callers \(methods\)\n--- # as it stands: AccessPolicy team\/callers\n[\s\S]*--- # revision 1 AccessPolicy team\/callers\n/,
	});
	await owner.apply(file(policyText("meanwhile", "cart", "team")), now);
	const waiting = store.current.resources.accessPolicies.length;
	t.match(await bob("approve", first), { code: 0 }, "ada's needs approval, the owner's too");
	t.equal(store.current.resources.accessPolicies.length, waiting);
	t.same(policies(made), ["other/callers PUT", "team/callers any"]);
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "rollback",
		result: "done",
		why: /revision 1$/,
		approvedBy: [/bob$/],
	});
	t.match(store.policies.list(() => true)[0], { restored: 1, by: /ada$/ });

	const grant =
		"apiVersion: weir.dev/v1alpha1\nkind: ReferenceGrant\nmetadata: {name: in, namespace: other}\nspec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service}]}\n";
	await owner.apply(file(`${grant}---\n${policyText("central", "other/cart", "security")}`), now);
	const granted = store.current.revision;
	t.match(await local("delete", "ReferenceGrant", "in", "-n", "other"), { code: 0 });
	t.match(await local("delete", "AccessPolicy", "security/central"), { code: 0 });
	t.match(await local("policy", "rollback", "--to", String(granted), "-n", "security"), {
		code: 1,
		stderr: /^revision \d+ AccessPolicy security\/central:5:14: Service other\/cart is of another namespace/,
	});
});

t.test("a rule that came while people thought makes the request void", async (t) => {
	const made = await mutualApi(t);
	const { owner } = made;
	const { as, local } = await operatorCommand(t, made);
	await owner.apply(file([RULES_GATEWAY, serviceText("cart"), policyText("callers", "cart")].join("---\n")), now);
	await owner.apply(file(policyText("callers", "cart", "default", "  methods: [GET]\n")), now);
	await owner.apply(
		file(
			[binding("ada", "apply", ["ada"], "[default]"), binding("bob", "approve", ["bob"], "[default]")].join("---\n"),
		),
		now,
	);
	const approval = (verbs: string): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [${verbs}], namespaces: [default]}\n`;
	await owner.apply(file(approval("apply")), now);
	const [ada, bob] = [await as("ada"), await as("bob")];
	const asked = /weir approve ([0-9a-f]{16})/.exec((await ada("policy", "rollback")).out)?.[1] ?? "";
	// The owner's own change waits as well, so another request brings the rule in.
	const added = await owner.apply(file(policyText("meanwhile", "cart")), now);
	t.match(added, { outcome: "pending" });
	if (added.outcome !== "pending") return;
	t.match(await bob("approve", added.request.id), { code: 0 });
	t.match(await bob("approve", asked), { code: 1, stderr: /void: what it would change has changed/ });
	t.notMatch((await local("policy", "rollback", "--list")).out, /back to/, "nothing was rolled back");
});

t.test("where changes of a namespace were dropped that is said, with what there is to go back to", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	const set = (namespace: string, methods: string): string =>
		policyText("callers", "cart", namespace, `  methods: [${methods}]\n`);
	const both = ["team", "busy"].flatMap((one) => [serviceText("cart", one), set(one, "GET")]);
	await owner.apply(file([RULES_GATEWAY, ...both].join("---\n")), now);
	await owner.apply(file(set("team", "PUT")), now);
	t.match((await local("policy", "rollback", "--list")).out, /\nthe rules before all of these: --to 0\n$/);
	const options = { by: "owner", dryRun: false, nowMs: 1 };
	for (let at = 0; at <= 200; at++) store.apply(file(set("busy", at % 2 === 0 ? "PUT" : "GET")), options);
	t.match(
		(await local("policy", "rollback", "--list")).out,
		/\nearlier changes of namespace busy were dropped: its rules are kept back to revision 3\nthe oldest rules that are kept of all of them: --to 3\n$/,
	);
	t.match(
		(await local("policy", "rollback", "--list", "-n", "team")).out,
		/\nthe rules before all of these: --to 0\n$/,
	);
	t.match(await local("policy", "rollback", "--to", "1"), {
		code: 1,
		stderr: /namespace busy are kept back to revision 3, not to 1: earlier changes were dropped; .* --namespace/,
	});
	t.match(await local("policy", "rollback", "--to", "1", "-n", "team"), {
		code: 0,
		out: /^configured AccessPolicy team/,
	});
});

t.test("the history is bounded, outlasts a restart, and begins where it was cut", async (t) => {
	const directory = temporaryDirectory(t);
	let store = new Store(directory);
	const options = (nowMs: number) => ({ by: "owner", dryRun: false, nowMs });
	const set = (methods: string) => policyText("callers", "cart", "default", `  methods: [${methods}]\n`);
	store.apply(file([RULES_GATEWAY, serviceText("cart"), set("GET")].join("---\n")), options(1));
	for (let at = 2; at <= 210; at++) store.apply(file(set(at % 2 === 0 ? "PUT" : "GET")), options(at));
	t.equal(store.current.revision, 210);
	await store.close();
	store = new Store(directory);
	t.teardown(() => store.close());
	const kept = store.policies.list(() => true);
	t.equal(kept.length, 200);
	t.match(kept.at(-1), { revision: 11, revisionBefore: 10 });
	t.throws(() => store.restoration(9, () => true), {
		code: "failed-precondition",
		message: /back to revision 10, not to 9/,
	});
	const plan = store.planRestore(
		store.restoration(11, () => true),
		211,
	);
	t.match(store.realise(plan, { ...options(211), restored: 11 }), { outcome: "applied", revision: 211 });
	t.same(store.current.resources.accessPolicies[0]?.spec.methods, ["GET"]);
});
