/** `weir history` and `weir rollback`: the documents of an earlier revision as one ordinary change, by role and on the record. */
import t from "tap";
import { qualifiedName } from "../../../src/declare/resources/resource.js";
import { golden, transcript } from "../../golden/golden.js";
import { ALL, experiment, file } from "../../operate/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { type MutualApi, mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { operatorCommand } from "../operatorCommand.js";

t.setTimeout(120_000);
const now = { dryRun: false };

const policies = ({ store }: Pick<MutualApi, "store">): readonly string[] =>
	store.current.resources.accessPolicies.map(
		({ metadata, spec }) => `${qualifiedName(metadata)} ${spec.methods.join("+") || "any"}`,
	);
const callers = (method: string, namespace = "default"): string =>
	policyText("callers", "employment", namespace, `  methods: [${method}]\n`);

t.test("rollback restores edited, created and deleted resources as they were in that revision", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { local } = await operatorCommand(t, made);
	t.match(await local("history"), { code: 0, out: "no changes are kept\n" });
	const all = [RULES_GATEWAY, serviceText("employment"), callers("GET"), metricText("accuracy"), metricText("old")];
	await owner.apply(file([...all, experiment("boosted")].join("---\n")), now);
	const first = store.current.revision;
	await owner.act("boosted", "pause");
	await owner.apply(file(callers("PUT")), now);
	await owner.apply(file(policyText("more", "employment")), now);
	await owner.delete("Metric", "old", now);
	const last = store.current.revision;

	let back = await transcript(local, `rollback --to ${first} --dry-run`);
	t.equal(store.current.revision, last);
	back += await transcript(local, `rollback --to ${first}`);
	t.equal(store.current.revision, last + 1, "one change of the newest state");
	t.same(policies(made), ["callers GET"]);
	t.match(store.current.status.experiments.boosted, { phase: "Paused" }, "what was decided stays");
	t.match(store.audit.page(0, 100).records.at(-1), {
		verb: "rollback",
		result: "done",
		subject: "local:owner",
		why: `to revision ${first}`,
		objects: ["created Metric old", "configured AccessPolicy callers: spec.methods", "deleted AccessPolicy more"],
	});

	t.match(await local("rollback", "--to", String(last)), { code: 0 }, "a rollback can be rolled back");
	t.same(policies(made), ["callers PUT", "more any"]);
	const refused = ["rollback --to 999", "rollback --to x", "rollback"];
	back += await transcript(local, `rollback --to ${store.current.revision}`, ...refused);
	await golden(t, "rollback", back);
	await golden(t, "history", await transcript(local, "history"));
	t.match(JSON.parse((await local("history", "--json")).out).at(-1), { revision: first, rolledBackTo: null });
});

t.test("rollback is an ordinary change, with its checks, roles and approvals", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const { as } = await operatorCommand(t, made);
	const team = (namespace: string) => [serviceText("employment", namespace), callers("GET", namespace)];
	const people = [
		binding("ada", "apply", ["ada"], "[red]"),
		binding("bob", "approve", ["bob"], "[red]"),
		binding("carol", "approve", ["carol"], "[red, blue]"),
		binding("rita", "read", ["rita"], "[red, blue]"),
	];
	const two = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two, namespace: red}
spec: {verbs: [apply], namespaces: [red]}
`;
	await owner.apply(file([RULES_GATEWAY, ...team("red"), ...team("blue"), ...people, two].join("---\n")), now);
	const { revision } = store.current;
	const asked = await owner.apply(file([callers("PUT", "red"), callers("PUT", "blue")].join("---\n")), now);
	if (asked.outcome === "pending") await (await made.as("carol")).approve(asked.request.id);
	const [ada, bob, rita] = [await as("ada"), await as("bob"), await as("rita")];
	const back = ["rollback", "--to", String(revision)];
	t.match(await rita(...back), { code: 1, stderr: /rita needs the verb apply in at least one namespace/ });
	t.match(await ada("history"), { out: /^((?!blue).)*$/s }, "no word of another namespace");
	t.match(await ada(...back, "--dry-run"), { code: 0, out: "configured AccessPolicy red/callers (dry run)\n" });

	t.match(await ada(...back), { code: 75, out: /waits for approval by 1 other/ });
	const [request] = await (await made.as("bob")).requests();
	t.match(await bob("approve", request?.id ?? ""), { code: 0 });
	t.same(policies(made), ["blue/callers PUT", "red/callers GET"]);

	t.match(await (await as("rita"))("history", "--namespace", "blue"), { out: /^((?!red\/).)*$/s });
});

t.test("a rollback that cannot be applied in full is refused", async (t) => {
	const { store, owner } = await mutualApi(t);
	await owner.apply(file(metricText("first")), now);
	const { revision } = store.current;
	await owner.apply(file(ALL), now);
	t.match(await owner.rollback(revision, null, now), {
		outcome: "refused",
		problems: [{ message: "Experiment boosted is running and would be deleted", hint: /weir abort boosted/ }],
	});
	await owner.act("boosted", "abort");
	t.match(await owner.rollback(revision, null, now), { outcome: "applied" });
	t.same(store.current.resources.experiments, []);
});
