/** What files would give back that a state has no more, and who is known to have taken it away. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { LastDeclared } from "../../src/cli/stack/lastDeclared.js";
import { type Change, newlyAllowed, putBack } from "../../src/cli/stack/loosening.js";
import { resourcesOf } from "../../src/resources/kinds.js";
import { loadResources } from "../../src/resources/parse.js";
import type { ResourceSet } from "../../src/resources/resource.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { operator } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";
import { temporaryDirectory } from "./command.js";

const approvalText = (approvals: number): string => `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default], approvals: ${approvals}}
`;

function setOf(...texts: readonly string[]): ResourceSet {
	const { resources, problems } = loadResources([{ name: "w.yaml", text: texts.join("---\n") }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	return resources;
}

const service = serviceText("employment");
const policy = policyText("callers", "employment");
const all = [RULES_GATEWAY, service, policy];
const told = (change: Change) => newlyAllowed(change).map(({ words }) => words);
const nobody = () => false;
const anybody = () => true;

t.test("what lets somebody in is named; what lets in fewer, and what is not of the rules, is not", (t) => {
	const state = setOf(...all);
	const allowed = (...texts: readonly string[]) => told({ state, given: setOf(...texts) });
	t.same(allowed(...all), []);
	t.same(allowed(...all, metricText("accuracy")), []);
	t.same(allowed(...all, policyText("more", "employment")), ["allow added: more, of Service employment"]);
	const elsewhere = policy.replace('"employment"', '"other"');
	const open = serviceText("employment", "default", "  access: open\n");
	t.same(allowed(RULES_GATEWAY, open, serviceText("other"), elsewhere), ["anyone, of Service employment"]);
	const both = setOf(...all, policyText("more", "employment"));
	t.same(told({ state: both, given: setOf(...all) }), [], "files take nothing away");
	t.end();
});

t.test("so is who would operate, send outcomes, or name what is another namespace's; who already may is not", (t) => {
	const told = (before: string, after: string) =>
		newlyAllowed({ state: setOf(...all, before), given: setOf(...all, after) });
	const role = (names: readonly string[], verbs = "apply", namespaces = "[default]", name = "ops") =>
		binding(name, verbs, names, namespaces);
	const [ann, eve] = [operator("ann"), operator("eve")];
	const key = "RoleBinding ops";
	t.same(told(role(["ann", "eve"]), role(["ann"])), []);
	t.same(told(role(["ann", "eve"]), role(["eve"], "apply", "[default]", "renamed")), []);
	t.same(told(role(["ann"]), role(["ann", "eve"])), [
		{ words: `apply in default by ${ann}, ${eve}, by RoleBinding ops`, key },
	]);
	t.match(told(role(["ann"]), role(["ann"], "apply, admin")), [{ key }]);
	t.match(told(role(["ann"]), role(["ann"], "apply", "['*']")), [{ key }]);

	const grant = (from: string, to: string, namespace = "law") =>
		`apiVersion: weir.dev/v1alpha1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: ${namespace}}\nspec: {from: [${from}], to: [${to}]}\n`;
	const [one, other] = ["{kind: Service, namespace: a}", "{kind: Service, namespace: b}"];
	const [any, some] = ["{kind: DataClass}", "{kind: DataClass, name: personal}"];
	t.same(told(grant(`${one}, ${other}`, any), grant(one, some)), []);
	t.same(told(grant(one, some), grant(one, any)), [
		{ words: "any DataClass to Service of namespace a, by ReferenceGrant law/g", key: "ReferenceGrant law/g" },
	]);
	t.match(told(grant(one, any), grant(`${one}, ${other}`, any)), [{ key: "ReferenceGrant law/g" }]);
	t.match(told(grant(one, any), grant(one, any, "other")), [{ key: "ReferenceGrant other/g" }]);

	const sent = (...ids: readonly string[]) =>
		`${metricText("m").trimEnd().slice(0, -1)}, senders: ${JSON.stringify(ids)}}\n`;
	t.same(told(sent("spiffe://a/x", "spiffe://a/y"), sent("spiffe://a/x")), []);
	t.same(told(sent("spiffe://a/x"), sent("spiffe://a/y", "spiffe://a/x")), [
		{ words: "outcomes of Metric m from spiffe://a/y", key: "Metric m" },
	]);
	t.end();
});

t.test("of what others have not changed nothing is put back: it is the files' own", (t) => {
	const given = setOf(...all, approvalText(1));
	const state = setOf(...all, approvalText(2));
	t.same(putBack({ state, given }, nobody), []);
	t.same(putBack({ state, given }, anybody), ["ApprovalPolicy two as the files have it"]);
	t.match(
		putBack({ state: setOf(RULES_GATEWAY), given }, (key) => key === "Service employment"),
		["Service employment: new"],
		"a Service that was taken away",
	);
	t.end();
});

t.test("what was changed since, by whom it is not", async (t) => {
	const path = join(await temporaryDirectory(t), "last");
	const last = new LastDeclared(path);
	const of = (...texts: readonly string[]) => resourcesOf(setOf(...texts));
	t.equal(await last.changedSince(of(...all)), null, "nobody knows");
	const eve = binding("eve", "admin", ["eve"], "[default]");
	await last.keep(of(policy), of(...all, eve));
	const wider = policy.replaceAll("principals:", "methods: [GET]\n  principals:");
	t.not(wider, policy);
	const words = await last.changedSince(of(RULES_GATEWAY, service, wider, metricText("accuracy")));
	t.same(
		[...(words ?? [])],
		[
			["AccessPolicy callers", "AccessPolicy callers was changed"],
			["RoleBinding eve", "RoleBinding eve was deleted"],
			["Metric accuracy", "Metric accuracy was created"],
		],
	);
	await last.keep(of(wider), of(RULES_GATEWAY, service, wider));
	const changed = await last.changedSince(of(...all));
	t.same(
		[...(changed?.keys() ?? [])],
		["AccessPolicy callers", "RoleBinding eve"],
		"what is not given stays as it was",
	);
	await writeFile(path, "{");
	t.equal(await last.changedSince(of(...all)), null, "what cannot be read is not believed");
});
