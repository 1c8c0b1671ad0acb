/** The cost of a check is linear in the declaration, as every change checks all of it. */
import t from "tap";
import { policiesOf, selects, servicesOf } from "../../../src/compile/access/rules/selection.js";
import { checkResources } from "../../../src/declare/resources/checks/check.js";
import { parseResources } from "../../../src/declare/resources/parse.js";
import type { Resource, ResourceSet } from "../../../src/declare/resources/resource.js";
import { PROBLEMS_MAX } from "../../../src/limits/index.js";

const HEAD = "apiVersion: weir.dev/v1alpha1";

const one = (n: number): string => `${HEAD}
kind: Service
metadata: {name: s${n}, namespace: n${n % 2}}
spec: {hosts: [s${n}.example], protocol: http1, defaultVariant: v1, variants: [{name: v1, endpoints: []}, {name: v2, endpoints: []}]}
---
${HEAD}
kind: AccessPolicy
metadata: {name: p${n}, namespace: n${n % 2}}
spec: {services: [s${n}], principals: ["spiffe://weir.test/c${n}"], variants: [v1]}
---
${HEAD}
kind: Metric
metadata: {name: m${n}, namespace: n${n % 2}}
spec: {type: mean, range: [0, 1], source: outcome, direction: up, window: 1s}
---
${HEAD}
kind: Experiment
metadata: {name: e${n}, namespace: n${n % 2}}
spec:
  service: s${n}
  unit: {header: x-user-id}
  layer: {name: l${n}, slot: [0%, 100%]}
  segments: [{name: country, header: x-country}]
  arms: [{name: control, variant: v1, weight: 1, baseline: true}, {name: boosted, variant: v2, weight: 1}]
  guardrails: [{metric: m${n}, margin: {absolute: 0.1}}]
  rollout: {steps: [2%, 100%], every: 10s, minUnits: 500, alpha: 0.05, holdback: {share: 5%, for: 30d}}
`;

const parsed = (text: string): ResourceSet => {
	const { resources, problems } = parseResources([{ name: "weir.yaml", text }]);
	if (problems.length > 0) throw new Error(JSON.stringify(problems));
	return resources;
};

/** The set, and how often its resources were looked at. */
function watched(set: ResourceSet): { readonly set: ResourceSet; readonly looks: () => number } {
	let looks = 0;
	const watch = <Item extends Resource>(item: Item): Item =>
		new Proxy(item, {
			get: (target, key) => {
				looks++;
				return Reflect.get(target, key);
			},
		});
	const services = set.services.map(watch);
	const accessPolicies = set.accessPolicies.map(watch);
	const [experiments, metrics] = [set.experiments.map(watch), set.metrics.map(watch)];
	return { set: { ...set, services, accessPolicies, experiments, metrics }, looks: () => looks };
}

const declaration = (count: number): ResourceSet =>
	parsed(Array.from({ length: count }, (_, n) => one(n)).join("---\n"));

t.test("a declaration of twice the size costs about twice as much", async (t) => {
	const looksAt = (count: number): number => {
		const { set, looks } = watched(declaration(count));
		t.same(
			checkResources(set, undefined, () => false, declaration(count)),
			[],
		);
		return looks();
	};
	const [few, many] = [looksAt(50), looksAt(200)];
	t.ok(many < 4.5 * few, `${few} looks at 50 of each kind, ${many} at 200`);
});

/** Names of this namespace and of another one, `*`, both at once, one twice, and DataClasses, with a grant and without. */
t.test("the index of policies and Services by name equals a comparison of all pairs", async (t) => {
	const service = (name: string, namespace: string, more = ""): string => `${HEAD}
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {hosts: [${name}.${namespace}.example], protocol: http1, defaultVariant: v1, variants: [{name: v1, endpoints: []}]${more}}
`;
	const policy = (name: string, namespace: string, services: string, more = ""): string => `${HEAD}
kind: AccessPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: {services: [${services}], principals: ["*"]${more}}
`;
	const documents = [
		policy("last", "a", "one, '*'"),
		policy("other", "b", "a/one, a/two, one"),
		policy("all", "a", "'*'"),
		service("one", "a", ", dataClass: private"),
		service("two", "a"),
		service("one", "b"),
		service("one", "default", ", dataClass: a/private"),
		policy("here", "default", "one, default/one"),
		policy("classes", "a", "'*'", ", dataClasses: [private]"),
		policy("class", "default", "one", ", dataClasses: [a/private]"),
		policy("none", "c", "'*', a/two"),
	];
	const grant = `${HEAD}
kind: ReferenceGrant
metadata: {name: b, namespace: a}
spec: {from: [{kind: AccessPolicy, namespace: b}], to: [{kind: Service, name: one}]}
`;
	for (const [all, pairs] of [[documents, 8] as const, [[...documents, grant], 9] as const]) {
		const { services, accessPolicies, referenceGrants } = parsed(all.join("---\n"));
		let found = 0;
		for (const service of services) {
			const asked = accessPolicies.filter((policy) => selects(policy, service, referenceGrants));
			found += asked.length;
			t.same(policiesOf(service, accessPolicies, referenceGrants), asked);
		}
		for (const policy of accessPolicies) {
			const asked = services.filter((service) => selects(policy, service, referenceGrants));
			t.same(servicesOf(policy, services, referenceGrants), asked);
		}
		t.equal(found, pairs);
	}
});

/** Every change is checked against all that is stored, the texts too: an error has the line of the stored one. */
t.test("a stored text is parsed once, and again for an error's position", async (t) => {
	const text = one(1).split("---\n")[3] ?? "";
	const [accepted] = parsed(text).experiments;
	if (accepted === undefined) throw new Error("no Experiment");
	const read = () => parseResources([{ name: "stored", text, accepted }]);
	for (const _ of [1, 2, 3]) {
		const { resources, positions } = read();
		t.equal(resources.experiments[0], accepted, "the same object, which was not made of the text again");
		t.equal(positions.source(accepted, ["spec", "guardrails", 0, "margin", "absolute"]), "0.1");
		t.match(positions.at(accepted, ["spec", "service"]), { file: "stored", line: 5, column: 12 });
	}
});

t.test("similar names are searched only for reported problems", async (t) => {
	const text = Array.from({ length: 300 }, (_, n) => one(n).replace(`services: [s${n}]`, `services: [t${n}]`));
	const { resources } = parseResources([{ name: "weir.yaml", text: text.join("---\n") }]);
	const unknown = checkResources(resources).filter(({ message }) => /unknown Service/.test(message));
	t.equal(unknown.length, 300);
	t.equal(unknown.filter(({ hint }) => /known Services: s/.test(hint)).length, PROBLEMS_MAX);
	t.match(unknown.at(-1), { hint: "correct the other problems first" });
});
