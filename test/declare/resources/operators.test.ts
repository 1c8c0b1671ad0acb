/** RoleBinding and ApprovalPolicy: operators are named exactly. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD } from "./declaration.js";
import { checkRows, type Row } from "./faultTable.js";

const document = (kind: string, spec: string): string =>
	`${GOOD}---\napiVersion: weir.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: ops}\nspec: {${spec}}\n`;
const binding = (spec: string): string => document("RoleBinding", spec);
const approval = (spec: string): string => document("ApprovalPolicy", spec);
const all = "verbs: [read, apply, promote, abort, approve, admin]";

const rows: readonly Row[] = [
	[
		"each kind of subject",
		binding(
			`${all}, subjects: ['spiffe://weir.local/weir/operator/ada', 'https://id#ada', 'group:ops'], namespaces: ['*', prod]`,
		),
		[],
	],
	[
		"a verb that is none",
		binding("verbs: [write], subjects: ['group:a'], namespaces: [prod]"),
		['w.yaml:66:16: spec.verbs[0] is "write"'],
	],
	[
		"no verb",
		binding("verbs: [], subjects: ['group:a'], namespaces: [prod]"),
		["w.yaml:66:15: spec.verbs is an empty list"],
	],
	...["ada", "*", "spiffe://a/*", "spiffe://a/b#c", "group:", "group:*", "#ada", "https://id#", "https://id#*@a"].map(
		(subject): Row => [
			`the subject ${subject}`,
			binding(`verbs: [read], subjects: ['${subject}'], namespaces: [prod]`),
			[`w.yaml:66:34: spec.subjects[0] is ${JSON.stringify(subject)}`],
		],
	),
	[
		"no subject",
		binding("verbs: [read], subjects: [], namespaces: [prod]"),
		["w.yaml:66:33: spec.subjects is an empty list"],
	],
	[
		"nowhere",
		binding("verbs: [read], subjects: ['group:a'], namespaces: []"),
		[`w.yaml:66:58: spec.namespaces is an empty list`],
	],
	[
		"a pattern of namespaces",
		binding("verbs: [read], subjects: ['group:a'], namespaces: ['team-*']"),
		[`w.yaml:66:59: spec.namespaces[0] is "team-*"`],
	],
	["approval", approval("verbs: [promote], namespaces: [prod], approvals: 2, expire: 1h"), []],
	["approval of reading", approval("verbs: [read], namespaces: [prod]"), ['w.yaml:66:16: spec.verbs[0] is "read"']],
	[
		"approval that is over at once",
		approval("verbs: [promote], namespaces: [prod], expire: 1s"),
		['w.yaml:66:54: spec.expire is "1s"'],
	],
	[
		"approval without approvers",
		approval("verbs: [apply], namespaces: [prod], approvals: 0"),
		["w.yaml:66:55: spec.approvals is the number 0"],
	],
];

checkRows(t, rows);

t.test("parsed RoleBindings and ApprovalPolicies have their defaults", async (t) => {
	const { resources } = loadResources([{ name: "w.yaml", text: approval("verbs: [apply], namespaces: ['*']") }]);
	t.same(resources.approvalPolicies[0]?.spec, {
		verbs: ["apply"],
		namespaces: ["*"],
		approvals: 1,
		expireMs: 86_400_000,
	});
	const bound = loadResources([
		{ name: "w.yaml", text: binding("verbs: [read], subjects: ['group:a'], namespaces: [prod]") },
	]);
	t.same(bound.resources.roleBindings[0]?.spec, { verbs: ["read"], subjects: ["group:a"], namespaces: ["prod"] });
});
