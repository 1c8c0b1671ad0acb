/**
 * The share of public Istio AuthorizationPolicies that compiles natively. Each policy of policies.json (made by
 * translate.ts, with its source) is declared in Weir's form and compiled. docs/meshes.md states these figures,
 * separately for Istio's own test data and for manifests and samples.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { stringify } from "yaml";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import type { Translated } from "../../fixtures/istioPolicies/translate.js";

const FILE = new URL("../../../../test/fixtures/istioPolicies/policies.json", import.meta.url);

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

/** The issuers of its users, and one for claims of any issuer. */
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
	// Allows a client, so that a set of deny policies compiles too.
	const allow = stringify({
		apiVersion: "weir.dev/v1alpha1",
		kind: "AccessPolicy",
		metadata: { name: "rest" },
		spec: { services: ["guarded"], principals: ["*"] },
	});
	return [BASE.replace("ISSUERS", JSON.stringify(issuers)), ...documents, allow].join("---\n");
}

interface Share {
	all: number;
	native: number;
	callout: number;
	/** By cause. */
	readonly cannot: Map<string, number>;
}

const TEST_DATA = "istio/istio";
const PORT = "it judges by port: a Service of ours is a host name";
const emptyShare = (): Share => ({ all: 0, native: 0, callout: 0, cannot: new Map() });
const sum = (counts: Iterable<number>): number => [...counts].reduce((before, count) => before + count, 0);
const row = ({ all, native, callout, cannot }: Share): string =>
	`${all} | ${native} | ${callout} | ${sum(cannot.values())}`;

t.test("the native share of at least 100 public policies is as documented", async (t) => {
	const all: readonly Translated[] = JSON.parse(readFileSync(FILE, "utf8"));
	const [testData, run] = [emptyShare(), emptyShare()];
	for (const { repository, path, index, policies, cannot } of all) {
		const share = repository === TEST_DATA ? testData : run;
		share.all++;
		if (cannot !== null) {
			share.cannot.set(cannot, (share.cannot.get(cannot) ?? 0) + 1);
			continue;
		}
		const { resources, problems } = loadResources([{ name: `${path}#${index}`, text: declared(policies) }]);
		t.same(problems.map(formatProblem), [], `${path} ${index} is a valid declaration`);
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
		t.same(plan.problems, [], `${path} ${index} compiles`);
		if (plan.table.services[0]?.callout === null) share.native++;
		else share.callout++;
	}
	t.comment(`to be run: ${row(run)}; test data: ${row(testData)}`);
	t.same(row(run), "81 | 38 | 5 | 38");
	t.same(row(testData), "108 | 36 | 22 | 50");
	t.equal(run.cannot.get(PORT), 34);
	const page = readFileSync(new URL("../../../../docs/meshes.md", import.meta.url), "utf8");
	for (const share of [run, testData]) t.match(page, `| ${row(share)} |`, "docs/meshes.md has the figure");
	t.match(page, `${run.cannot.get(PORT)} of the ${sum(run.cannot.values())}`, "and how many name a port");
	for (const repository of new Set(all.map((one) => one.repository))) t.match(page, repository);
});
