/** A refused change reveals no names of other namespaces, and hides none of the caller's own. */
import t from "tap";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { file } from "../employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "../guarded.js";
import { mutualApi } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

t.test("names of other namespaces are hidden, also whether they exist; the caller's own are shown", async (t) => {
	const { owner, as } = await mutualApi(t);
	const documents = [
		RULES_GATEWAY,
		serviceText("m", "hidden"),
		policyText("mp", "m", "hidden"),
		serviceText("wide", "hidden").replace("wide.hidden.example", '"*.wide.example"'),
		policyText("wp", "wide", "hidden"),
		serviceText("model"),
		policyText("p", "model"),
		binding("ada", "apply", ["ada"], "[default]"),
	];
	await owner.apply(file(documents.join("---\n")), { dryRun: false });
	const ada = await as("ada");
	const answerTo = async (...texts: readonly string[]) => {
		const answer = await ada.apply(file(texts.join("---\n")), { dryRun: true });
		return answer.outcome === "refused" ? answer.problems.map(formatProblem) : [answer.outcome];
	};
	t.match(await ada.delete("Service", "model", { dryRun: true }), {
		outcome: "refused",
		problems: [
			{
				message: "AccessPolicy p names Service model",
				hint: /weir delete Service model AccessPolicy p$/,
			},
		],
	});
	const [there, not] = [await answerTo(policyText("q", "hidden/m")), await answerTo(policyText("q", "hidden/none"))];
	t.match(there, [/Service hidden\/m is of another namespace, which grants no AccessPolicy/]);
	t.same(
		there.map((line) => line.replaceAll(/\bm\b/g, "none")),
		not,
	);
	const bare = (name: string) => policyText("q", name);
	t.same(
		(await answerTo(bare("m"))).map((line) => line.replace('"m"', '"none"')),
		await answerTo(bare("none")),
		"a bare name finds nothing there",
	);
	t.match(await answerTo(serviceText("x").replace("x.default.example", "m.hidden.example"), policyText("px", "x")), [
		/^weir.yaml:\d+:\d+: the change conflicts with a resource of another namespace; ask its owners$/,
	]);
	t.match(await answerTo(serviceText("x").replace("x.default.example", "m.wide.example"), policyText("px", "x")), [
		/: the change conflicts with a resource of another namespace; ask its owners$/,
	]);
	const twice = serviceText("x").replace("x.default.example", "model.default.example");
	t.match(await answerTo(twice, policyText("px", "x")), [/is taken by Service model;/]);
});

t.test("an oversized change is reported with the caller's own text, and no hidden name", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	const documents = [
		RULES_GATEWAY,
		serviceText("payroll", "hidden"),
		policyText("mp", "payroll", "hidden"),
		binding("ada", "apply", ["ada"], "[default]"),
	];
	await owner.apply(file(documents.join("---\n")), { dryRun: false });
	const ada = await as("ada");
	const many = (count: number, make: (n: number) => string) => Array.from({ length: count }, (_, n) => make(n));
	const rules = [...many(400, (n) => serviceText(`s${n}`)), ...many(190, (n) => policyText(`p${n}`, "*"))];
	const at = (name: string) => serviceText("x").replace("protocol: http1", `"Service ${name}": http1`);
	const answerTo = async (name: string): Promise<readonly string[]> => {
		const answer = await ada.apply(file([...rules, at(name)].join("---\n")), { dryRun: false });
		return answer.outcome === "refused" ? answer.problems.map(formatProblem) : [answer.outcome];
	};
	const [there, not] = [await answerTo("hidden/payroll"), await answerTo("hidden/nothing")];
	t.match(there, [/unknown field .*Service hidden\/payroll/, /760\d\d rules of Services/]);
	t.same(
		there.map((line) => line.replaceAll("payroll", "nothing")),
		not,
	);
	const audited = JSON.stringify(store.audit.page(0, 100, "refused"));
	t.notMatch(audited, /payroll": http1|unknown field/);
});

const SHARED = (name: string, salt: string, namespace = "b") => `apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  service: m
  unit: {header: x-user-id}
  salt: ${salt}
  layer: {name: l, slot: [0%, 100%]}
  arms: [{name: a, variant: v1, baseline: true}, {name: b, variant: v2}]
  rollout: {steps: [50%], every: 10s, minUnits: 500}
`;

t.test("no salt reveals or reserves names in another namespace", async (t) => {
	const { owner, as } = await mutualApi(t);
	const open = (namespace: string) => serviceText("m", namespace, "  access: open\n");
	const theirs = ["team-a", "default"].flatMap((namespace) => [
		open(namespace),
		SHARED("there", "", namespace).replace(/ {2}salt:.*\n/, ""),
		SHARED("gone", "", namespace)
			.replace(/ {2}salt:.*\n/, "")
			.replace("name: l,", "name: l2,")
			.replace("service: m", "service: n"),
		open(namespace).replaceAll("m.", "n.").replace("name: m", "name: n"),
	]);
	const people = [binding("eve", "apply, promote", ["eve"], "[b]"), binding("dora", "apply", ["dora"], "[default]")];
	t.match(await owner.apply(file([open("b"), ...theirs, ...people].join("---\n")), { dryRun: false }), {
		outcome: "applied",
	});
	for (const name of ["gone", "team-a/gone"]) {
		await owner.act(name, "abort");
		await owner.delete("Experiment", name, { dryRun: false });
	}
	const [eve, dora] = [await as("eve"), await as("dora")];
	const answerTo = async (who: typeof eve, text: string) => {
		const answer = await who.apply(file(text), { dryRun: true });
		return answer.outcome === "refused" ? answer.problems.map(formatProblem) : [answer.outcome];
	};
	for (const name of ["there", "gone", "none", "team-a/there", "team-a/gone", "team-a/none"])
		t.same(await answerTo(eve, SHARED("x", name)), [
			`weir.yaml:7:9: salt "${name}" is not of namespace b; write one that begins with b/, or leave it out: it is the Experiment's name then`,
		]);
	for (const name of ["there", "gone", "none"])
		t.same(
			await answerTo(
				dora,
				SHARED("x", `team-a/${name}`, "default").replace("service: m", "service: n").replace("name: l,", "name: l2,"),
			),
			[
				`weir.yaml:7:9: salt "team-a/${name}" is not of namespace default; write one that does not begin with another namespace and /, or leave it out: it is the Experiment's name then`,
			],
		);
	t.same(await answerTo(eve, SHARED("x", "b/any")), ["applied"], "one's own");
	// An edit of a stored Experiment does not either.
	await eve.apply(file(SHARED("x", "b/x")), { dryRun: false });
	const edits = ["team-a/there", "team-a/gone", "team-a/none", "there", "gone", "none"].map(async (name) =>
		(await answerTo(eve, SHARED("x", name))).map((problem) => problem.replaceAll(name, "NAME")).sort(),
	);
	const [first, ...others] = await Promise.all(edits);
	for (const other of others) t.same(other, first);
	t.match(first, [/salt would change from b\/x to NAME/, /^weir.yaml:7:9: salt "NAME" is not of namespace b/]);
	await owner.act("b/x", "abort");
	await owner.delete("Experiment", "b/x", { dryRun: false });
	const both = await answerTo(eve, [SHARED("x", "b/any"), SHARED("y", "b/any")].join("---\n"));
	t.match(both.join("\n"), /"b\/any" is in use by Exp/);
	for (const salt of ["any", "default/any", "Any_1./any"])
		t.same(
			await answerTo(
				dora,
				SHARED("x", salt, "default").replace("service: m", "service: n").replace("name: l,", "name: l2,"),
			),
			["applied"],
			salt,
		);
});

t.test("an error quotes the caller's text, whether or not a hidden resource has that name", async (t) => {
	const { owner, as } = await mutualApi(t);
	const metric = (spec: string) =>
		`apiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: m, namespace: b}\nspec: ${spec}\n`;
	const open = (name: string, namespace: string) => serviceText(name, namespace, "  access: open\n");
	const experiment = (salt: string, more = "") =>
		SHARED("e", salt).replace("layer: {name: l,", `layer: {name: l${more},`).replace("name: e,", `name: e${more},`);
	const eves = binding("eve", "apply", ["eve"], "[b]");
	const gateway = RULES_GATEWAY.replace("name: edge", "name: edge, namespace: b");
	t.match(
		await owner.apply(
			file(
				[gateway, open("m", "default"), open("m", "b"), serviceText("zz", "b"), policyText("zz", "zz", "b"), eves].join(
					"---\n",
				),
			),
			{
				dryRun: false,
			},
		),
		{
			outcome: "applied",
		},
	);
	const eve = await as("eve");
	const answerTo = async (text: string, name?: string) => {
		const answer = await eve.apply(file(text, name), { dryRun: true });
		return answer.outcome === "refused" ? answer.problems.map(formatProblem) : [answer.outcome];
	};
	for (const text of [
		metric('{type: mean, direction: "Service m"}'),
		metric('{type: mean, "Service m": 1}'),
		metric("{type: mean}").replace("kind: Metric", 'kind: "Service m"'),
		policyText("p", "m", "b", '  regions: ["Service m"]\n').replace('["m"]', '["zz"]'),
		// The caller may read its own namespace.
		[experiment("b/1"), experiment("b/2", "2")].join("---\n"),
		experiment("b/1").replace("variant: v1", "variant: v3"),
	]) {
		const answer = await answerTo(text);
		t.match(answer.join("\n"), /Service (b\/)?m\b/);
		t.same(
			answer,
			(
				await answerTo(
					text
						.replaceAll("Service m", "Service zz")
						.replace("service: m", "service: zz")
						.replace("service: m", "service: zz"),
				)
			).map((line) => line.replaceAll(/Service (b\/)?zz/g, "Service $1m")),
			text,
		);
	}
	await t.rejects(answerTo(metric("{type: none}"), "stored Service m"), { code: "invalid-argument" });
});
