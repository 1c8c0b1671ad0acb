/** What it costs to tell which hosts leave another's rule: seconds of control's API, by a file of 32 KB. */
import t from "tap";
import { parseResources } from "../../src/resources/parse.js";
import { hostsTaken } from "../../src/state/consequences/hostsTaken.js";
import { file } from "./employment.js";
import { policyText, serviceText } from "./guarded.js";

t.test("a policy is asked once for all hosts that go from one Service to another", (t) => {
	const hosts = Array.from({ length: 200 }, (_, at) => `h${at}.example`);
	const text = (name: string, list: readonly string[]) =>
		serviceText(name).replace(`[${name}.default.example]`, `[${list.join(", ")}]`);
	const rules = Array.from({ length: 3 }, (_, at) => policyText(`p${at}`, "default/one", "guards"));
	const parsed = (...texts: readonly string[]) => parseResources(file(texts.join("---\n"))).resources;
	const before = parsed(text("one", ["one.example", ...hosts]), text("two", ["two.example"]), ...rules);
	const after = parsed(text("one", ["one.example"]), text("two", ["two.example", ...hosts]));
	let asked = 0;
	const accessPolicies = before.accessPolicies.map((policy) => ({
		...policy,
		get spec() {
			asked++;
			return policy.spec;
		},
	}));
	const grants = parsed(
		"apiVersion: weir.dev/v1alpha1\nkind: ReferenceGrant\nmetadata: {name: g}\nspec: {from: [{kind: AccessPolicy, namespace: guards}], to: [{kind: Service}]}\n",
	);
	const changed = before.services.map((one, at) => ({ before: one, after: after.services[at] ?? null }));
	const taken = hostsTaken({ ...before, accessPolicies, referenceGrants: grants.referenceGrants }, changed);
	t.equal(taken.length, 200);
	t.ok(asked < 100, `${asked}`);
	t.end();
});
