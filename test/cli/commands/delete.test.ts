/** `weir delete`: referenced resources stay, no Service closes by accident, a delete is atomic, authorised and audited. */
import t from "tap";
import { golden, transcript } from "../../golden/golden.js";
import { experiment, file } from "../../operate/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { operatorCommand } from "../operatorCommand.js";

t.setTimeout(60_000);

t.test("a referenced resource is kept, and the error names the reference; both can be deleted together", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const all = [RULES_GATEWAY, serviceText("employment"), policyText("callers", "employment"), metricText("accuracy")];
	await owner.apply(file([...all, experiment("boosted")].join("---\n")), { dryRun: false });
	const { local } = await operatorCommand(t, made);
	const { revision } = store.current;

	let text = await transcript(
		local,
		"delete service employment",
		"delete Metric accuracy coverage",
		"delete Metric accuracy",
		"delete AccessPolicy callers",
	);
	t.equal(store.current.revision, revision, "nothing of it happened");

	await local("abort", "boosted");
	const pairs = "Experiment boosted Service employment AccessPolicy callers";
	text += await transcript(local, "delete Metric accuracy", `delete ${pairs} Metric none`, `delete ${pairs} --dry-run`);
	t.equal(store.current.resources.services.length, 1);
	const before = store.current.revision;
	text += await transcript(local, `delete ${pairs}`);
	t.equal(store.current.revision, before + 1, "one change");
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		verb: "delete",
		result: "done",
		objects: ["deleted Experiment boosted", "deleted Service employment", "deleted AccessPolicy callers"],
	});
	const ratio = metricText("accuracy").replace("accuracy", "revenue").replace("rate", "ratio, denominator: accuracy");
	await owner.apply(file(ratio), { dryRun: false });
	text += await transcript(local, "delete Metric accuracy", "delete Metric revenue", "delete Metric accuracy");
	await golden(t, "delete", text);
});

t.test(
	"an allow can go if another replaces it; a deny may close a Service on purpose; names and kinds are checked",
	async (t) => {
		const made = await mutualApi(t);
		await made.owner.apply(
			file([RULES_GATEWAY, serviceText("employment"), policyText("callers", "employment")].join("---\n")),
			{
				dryRun: false,
			},
		);
		const { local } = await operatorCommand(t, made);
		const closed = policyText("closed", "employment").replace(/action: allow.*/, "action: deny");
		await made.owner.apply(file(closed), { dryRun: false });
		t.match(await local("delete", "Service", "employment"), { code: 1 });
		t.match(made.store.audit.page(0, 10, "refused").records.at(-1), {
			verb: "delete",
			namespaces: ["default"],
			objects: ["deleted Service employment"],
		});
		t.match(await local("delete", "AccessPolicy", "default/callers"), {
			code: 0,
			out: "deleted AccessPolicy callers\n",
		});
		t.match(await local("delete", "AccesPolicy", "closed"), { code: 64, stderr: /did you mean "AccessPolicy"/ });
		t.match(await local("delete", "AccessPolicy", "closed", "Service"), { code: 64, stderr: /KIND NAME/ });
		t.match(await local("delete", "AccessPolicy", "closed", "-n", "team"), { code: 1, stderr: /'team\/closed'/ });
	},
);

t.test("delete needs the role and the second person; an unreadable Experiment is not found", async (t) => {
	const made = await mutualApi(t);
	const { store, owner } = made;
	const rules = [
		binding("ada", "apply", ["ada"], "[team]"),
		binding("bob", "approve", ["bob"], "[team]"),
		binding("eve", "read", ["eve"], "[team]"),
	];
	await owner.apply(file([...rules, metricText("one", "team"), metricText("two", "other")].join("---\n")), {
		dryRun: false,
	});
	const { as } = await operatorCommand(t, made);
	const [ada, bob, eve] = [await as("ada"), await as("bob"), await as("eve")];
	t.match(await eve("delete", "Metric", "one", "-n", "team"), { code: 1, stderr: /eve needs the verb apply/ });
	t.match(await ada("delete", "Metric", "two", "-n", "other"), { code: 1, stderr: /no Metric 'other\/two'/ });
	t.match(await ada("delete", "Metric", "team/one", "Metric", "other/two"), {
		code: 1,
		stderr: /no Metric 'other\/two'/,
	});
	t.match(await ada("delete", "RoleBinding", "team/none"), { code: 1, stderr: /no RoleBinding 'team\/none'/ });
	await owner.apply(
		file(
			"apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [apply], namespaces: [team]}\n",
		),
		{ dryRun: false },
	);
	t.match(await ada("delete", "Metric", "team/one", "--dry-run"), { code: 0, out: /wait for approval by 1 other\n$/ });
	const asked = await ada("delete", "Metric", "team/one");
	t.equal(asked.code, 75, "a script must not take it for done");
	const id = /weir approve ([0-9a-f]{16})/.exec(asked.out)?.[1] ?? "";
	t.match(await bob("requests", id), { out: /^delete Metric team\/one$/m });
	t.match(await bob("approve", id), { code: 0, out: /approved and done/ });
	t.same(
		store.current.resources.metrics.map(({ metadata }) => metadata.name),
		["two"],
	);
});
