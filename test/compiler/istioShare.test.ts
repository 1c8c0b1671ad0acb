/**
 * Which share of public Istio AuthorizationPolicies compiles natively: each of policies.json (made by translate.ts, with
 * its source) is declared in our form and compiled. The README states these figures.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { stringify } from "yaml";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { loadResources } from "../../src/resources/parse.js";
import { formatProblem } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import type { Translated } from "../fixtures/istioPolicies/translate.js";

const FILE = new URL("../../../test/fixtures/istioPolicies/policies.json", import.meta.url);

const BASE = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 8443, tls: {identity: mesh}, tokens: ISSUERS}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: guarded}
spec:
  hosts: [guarded.test]
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9001}]}]
`;

/** Issuers that its users are of, and one for claims of whichever. */
function issuersOf(policies: readonly object[]): readonly string[] {
	const users = policies.flatMap((one) => (one as { users?: string[] }).users ?? []);
	return [
		...new Set([
			"https://issuer.test",
			...users.filter((user) => user !== "*").map((user) => user.split("#")[0] ?? ""),
		]),
	];
}

function declared(policies: readonly object[]): string {
	const issuers = issuersOf(policies).map((issuer) => ({ issuer, audiences: ["weir"], jwksFile: "/keys.json" }));
	const documents = policies.map((spec, at) =>
		stringify({
			apiVersion: "weir.dev/v1alpha1",
			kind: "AccessPolicy",
			metadata: { name: `p${at}` },
			spec: { services: ["guarded"], ...spec },
		}),
	);
	// Where it only denies, or nothing, somebody is allowed: what is asked is how it compiles, not what it leaves.
	const allow = stringify({
		apiVersion: "weir.dev/v1alpha1",
		kind: "AccessPolicy",
		metadata: { name: "rest" },
		spec: { services: ["guarded"], principals: ["*"] },
	});
	return [BASE.replace("ISSUERS", JSON.stringify(issuers)), ...documents, allow].join("---\n");
}

t.test("of at least 100 public policies", async (t) => {
	const all: readonly Translated[] = JSON.parse(readFileSync(FILE, "utf8"));
	let native = 0;
	let callout = 0;
	for (const { path, index, policies, cannot } of all) {
		if (cannot !== null) continue;
		const { resources, problems } = loadResources([{ name: `${path}#${index}`, text: declared(policies) }]);
		t.same(problems.map(formatProblem), [], `${path} ${index} is a valid declaration`);
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
		t.same(plan.problems, [], `${path} ${index} compiles`);
		if (plan.table.services[0]?.callout === null) native++;
		else callout++;
	}
	const cannot = all.filter((one) => one.cannot !== null).length;
	t.same(new Set(all.map(({ repository }) => repository)), new Set(["istio/istio", "kubeflow/manifests"]));
	t.comment(JSON.stringify({ all: all.length, native, callout, cannot }));
	t.same({ all: all.length, native, callout, cannot }, { all: 142, native: 61, callout: 26, cannot: 55 });
});
