/** What files would change of a state, and whom they would let in. */
import t from "tap";
import { changedOtherwise, newlyAllowed } from "../../src/cli/stack/loosening.js";
import { loadResources } from "../../src/resources/parse.js";
import type { ResourceSet } from "../../src/resources/resource.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { operator } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";

function setOf(...texts: readonly string[]): ResourceSet {
	const { resources, problems } = loadResources([{ name: "w.yaml", text: texts.join("---\n") }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	return resources;
}

const service = serviceText("employment");
const policy = policyText("callers", "employment");
const all = [RULES_GATEWAY, service, policy];

t.test("what lets somebody in is named; what lets in fewer, and what is not of the rules, is not", (t) => {
	const state = setOf(...all);
	const allowed = (...texts: readonly string[]) => newlyAllowed({ state, given: setOf(...texts) });
	t.same(allowed(...all), []);
	t.same(allowed(...all, metricText("accuracy")), []);
	t.same(allowed(...all, policyText("more", "employment")), ["allow added: more, of Service employment"]);
	const elsewhere = policy.replace('"employment"', '"other"');
	const open = serviceText("employment", "default", "  access: open\n");
	t.same(allowed(RULES_GATEWAY, open, serviceText("other"), elsewhere), ["anyone, of Service employment"]);
	const both = setOf(...all, policyText("more", "employment"));
	t.same(newlyAllowed({ state: both, given: setOf(...all) }), [], "files take nothing away");
	t.end();
});

t.test("so is whom the Service that takes a host lets in there, and who had it did not", (t) => {
	const hosted = (name: string, hosts: string, access = "") =>
		serviceText(name, "default", access)
			.replace(/^ {2}hosts: .*\n/m, "")
			.replace("spec:\n", `spec:\n  hosts: ${hosts}\n`);
	const shop = hosted("employment", '["*.e.test", e.test]');
	const letting = (service: string, whom: string) =>
		policyText(`of-${service}`, service).replace(/principals: .*$/m, `principals: [${whom}]`);
	const other = letting("other", "spiffe://a.example/callers");
	const told = (...given: readonly string[]) =>
		newlyAllowed({
			state: setOf(RULES_GATEWAY, shop, policy, hosted("other", "[o.test]"), other),
			given: setOf(...given),
		});
	const rest = [RULES_GATEWAY, shop, policy];
	t.same(told(...rest, hosted("free", "[a.e.test, b.e.test]", "  access: open\n")), [
		"anyone, at hosts a.e.test, b.e.test, which Service free takes from Service employment",
	]);
	t.same(told(...rest, hosted("other", "[o.test, a.e.test]"), other), [], "the same callers");
	t.same(told(...rest, hosted("wide", "[a.e.test]"), letting("wide", "anyone")), [
		"whom Service wide lets in, at host a.e.test, which it takes from Service employment",
	]);
	t.end();
});

t.test("so is who would operate, send outcomes, or name what is another namespace's; who already may is not", (t) => {
	const told = (before: string, after: string) =>
		newlyAllowed({ state: setOf(...all, before), given: setOf(...all, after) });
	const role = (names: readonly string[], verbs = "apply", namespaces = "[default]", name = "ops") =>
		binding(name, verbs, names, namespaces);
	const [ann, eve] = [operator("ann"), operator("eve")];
	t.same(told(role(["ann", "eve"]), role(["ann"])), []);
	t.same(told(role(["ann", "eve"]), role(["eve"], "apply", "[default]", "renamed")), []);
	t.same(told(role(["ann"]), role(["ann", "eve"])), [`apply in default by ${ann}, ${eve}, by RoleBinding ops`]);
	t.match(told(role(["ann"]), role(["ann"], "apply, admin")), [/by RoleBinding ops$/]);
	t.match(told(role(["ann"]), role(["ann"], "apply", "['*']")), [/by RoleBinding ops$/]);

	const grant = (from: string, to: string, namespace = "law") =>
		`apiVersion: weir.dev/v1alpha1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: ${namespace}}\nspec: {from: [${from}], to: [${to}]}\n`;
	const [one, other] = ["{kind: Service, namespace: a}", "{kind: Service, namespace: b}"];
	const [any, some] = ["{kind: DataClass}", "{kind: DataClass, name: personal}"];
	t.same(told(grant(`${one}, ${other}`, any), grant(one, some)), []);
	t.same(told(grant(one, some), grant(one, any)), ["any DataClass to Service of namespace a, by ReferenceGrant law/g"]);
	t.match(told(grant(one, any), grant(`${one}, ${other}`, any)), [/by ReferenceGrant law\/g$/]);
	t.match(told(grant(one, any), grant(one, any, "other")), [/by ReferenceGrant other\/g$/]);

	const sent = (...ids: readonly string[]) =>
		`${metricText("m").trimEnd().slice(0, -1)}, senders: ${JSON.stringify(ids)}}\n`;
	t.same(told(sent("spiffe://a/x", "spiffe://a/y"), sent("spiffe://a/x")), []);
	t.same(told(sent("spiffe://a/x"), sent("spiffe://a/y", "spiffe://a/x")), ["outcomes of Metric m from spiffe://a/y"]);
	t.end();
});

t.test("what decides verdicts beside rules is told, and nothing twice", (t) => {
	const moved = service.replaceAll("employment.default.example", "work.example");
	t.not(moved, service);
	t.match(changedOtherwise({ state: setOf(...all), given: setOf(RULES_GATEWAY, moved, policy) }), [
		/^Service employment, hosts: /,
	]);
	t.same(
		changedOtherwise({ state: setOf(RULES_GATEWAY), given: setOf(...all, metricText("m")) }),
		[],
		"what is created",
	);
	t.end();
});
