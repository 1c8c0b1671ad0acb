/** AccessPolicy spec.variants: every selected Service must have the named Variants. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { guarded, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row, shortProblemsOf } from "./faultTable.js";

const policy = (written: string): string => guarded({ policy: written });

const rows: readonly Row[] = [
	[
		"unknown variant, with a suggestion",
		policy("variants: [v22]"),
		['w.yaml:66:83: unknown variant "v22" of Service employment'],
	],
	[
		"unknown variant far from any",
		policy("variants: [canary]"),
		['w.yaml:66:83: unknown variant "canary" of Service employment'],
	],
	[
		"unknown variant after known ones",
		policy("variants: [v1, v2, vv2]"),
		['w.yaml:66:91: unknown variant "vv2" of Service employment'],
	],
	["one variant, no list", policy("variants: v1"), ['w.yaml:66:82: spec.variants is "v1"']],
	["variant twice", policy("variants: [v1, v1]"), ["w.yaml:66:87: spec.variants[1] repeats v1, item 0 of the list"]],
	["variant with a capital", policy("variants: [V1]"), [`w.yaml:66:83: spec.variants[0] is "V1"`]],
	["mistyped field", policy("variant: [v1]"), ["w.yaml:66:72: unknown field spec.variant"]],
	["none", policy("variants: []"), []],
	["all", policy("variants: [v1, v2]"), []],
];

checkRows(t, rows);

t.test("a Variant must exist in each of the policy's Services", async (t) => {
	const other = `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: other}
spec:
  hosts: [other.example]
  defaultVariant: v1
  variants: [{name: v1, endpoints: []}]
`;
	const text = policy("variants: [v1, v2]").replace("services: [employment]", "services: [employment, other]");
	t.same(shortProblemsOf(text + other), ['w.yaml:66:94: unknown variant "v2" of Service other']);
});

const NO_ENDPOINT = "  defaultVariant: v1\n  noEndpoint: default-variant";
const served = (text: string): string => spoil("  defaultVariant: v1", NO_ENDPOINT, text);
const whyNot = (position: string) => [
	`w.yaml:${position}: spec.noEndpoint is default-variant, but AccessPolicy web judges Variants: one Variant would be authorised, another serve`,
];

t.test("a request that is authorised for one Variant is never served by another", async (t) => {
	t.same(shortProblemsOf(served(policy("variants: [v2]"))), whyNot("7:15"));
	t.same(
		shortProblemsOf(served(policy("variants: [v1]"))),
		whyNot("7:15"),
		"the default one: a promotion may change it",
	);
	t.same(shortProblemsOf(served(policy("action: deny, variants: [v2]"))), whyNot("7:15"));
	const emptied = policy("variants: [v2]").replace("[{address: localhost, port: 9002}]", "[]");
	t.same(shortProblemsOf(served(emptied)), whyNot("7:15"), "with and without endpoints: they come and go");
	const emptyDefault = served(emptied).replace("defaultVariant: v1", "defaultVariant: v2");
	t.match(problemsOf(emptyDefault), whyNot("7:15"), "the default one itself is empty");
	t.same(shortProblemsOf(served(guarded({ policy: "variants: [v2]", callout: "{access: sidecar}" }))), whyNot("8:15"));
	t.same(shortProblemsOf(served(policy("methods: [GET]"))), [], "no policy judges Variants");
	t.same(shortProblemsOf(emptied), [], "fail, which is the default");
	const fails = served(emptied).replace("noEndpoint: default-variant", "noEndpoint: fail");
	t.same(shortProblemsOf(fails), [], "as in the hint");
});

t.test("two policies about Variants cause one problem of the Service", async (t) => {
	const second = `---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: second}
spec: {services: [employment], principals: [spiffe://example.org/web], variants: [v1]}
`;
	t.same(shortProblemsOf(served(policy("variants: [v2]")) + second), whyNot("7:15"));
});

t.test("a policy's Variants keep their order", async (t) => {
	const { resources } = loadResources([{ name: "w.yaml", text: policy("variants: [v2, v1]") }]);
	t.same(resources.accessPolicies[0]?.spec.variants, ["v2", "v1"]);
});
