/** Policies that judge Variants, in Envoy's own RBAC: each weighted entry repeats all rules of its Variant. */
import t from "tap";
import { authorize } from "../../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy, Experiment } from "../../../src/declare/resources/resource.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import {
	accessPolicy,
	experiment,
	experimentStatus,
	gateway,
	resourceSet,
	service,
	variant,
} from "../../fixtures/resources.js";
import { mutualTls, spiffe } from "../access/mutualTls.js";
import { build } from "./neighbours.js";
import { configOf, type PerFilter, valuesUnder, virtualHost, weightedClusters } from "./virtualHosts.js";

const principals = [spiffe("alice")];
const [allow, deny] = ["allow", "deny"] as const;

/**
 * Sets of policies on one Service with the Variants v1 (default), v2 and v3 and an Experiment between the last two, of
 * which each policy names both or none: who may use them does not matter to the assignment, and Envoy assigns.
 */
const sets: Readonly<Record<string, readonly (readonly [name: string, action: "allow" | "deny", AccessFields])[]>> = {
	"allow and deny of some Variants": [
		["everyone", allow, { principals }],
		["others-only", allow, { principals: [spiffe("bob")], variants: ["v2", "v3"] }],
		["not-v1", deny, { variants: ["v1"], methods: ["PUT"] }],
		["no-deletes", deny, { methods: ["DELETE"] }],
		["no-admin", deny, { variants: ["v1", "v2", "v3"], pathPrefixes: ["/admin"] }],
	],
	"deny of the default Variant alone": [
		["everyone", allow, { principals }],
		["not-v1", deny, { variants: ["v1"] }],
	],
	"allow of the others alone": [["others-only", allow, { principals, variants: ["v2", "v3"] }]],
};

/** Sets by which the arms' Variants are not alike, or the default one is more than they. */
const apart: typeof sets = {
	"allow of one Variant alone": [["v2-only", allow, { principals, variants: ["v2"] }]],
	"deny of one Variant": [
		["everyone", allow, { principals }],
		["not-v3", deny, { variants: ["v3"] }],
	],
	"deny of the others alone": [
		["everyone", allow, { principals }],
		["not-others", deny, { variants: ["v2", "v3"], principals }],
	],
	"allow of the default Variant alone": [
		["everyone", allow, { principals }],
		["v1-only", allow, { principals: [spiffe("bob")], variants: ["v1"] }],
	],
};

type AccessFields = Partial<AccessPolicy["spec"]>;

const policiesOf = (set: string, of: string): readonly AccessPolicy[] =>
	(sets[set] ?? apart[set] ?? []).map(([name, action, fields]) => accessPolicy(`${of}-${name}`, action, [of], fields));

/** Names of the policies in force, by action. */
function inForce(levels: readonly PerFilter[]): Record<"allow" | "deny", readonly string[]> {
	const names = (filter: string) =>
		valuesUnder(configOf(filter, ...levels), "policies").flatMap((policies) =>
			// The built-in probe is refused of every Variant.
			Object.keys(policies as object).filter((name) => name !== "(probe)"),
		);
	return { allow: names("weir.allow"), deny: names("weir.deny") };
}

/** In force for a Variant, by the words of the declaration, in the order of names. */
function expected(policies: readonly AccessPolicy[], variantName: string): Record<"allow" | "deny", readonly string[]> {
	const names = (action: "allow" | "deny") =>
		policies
			.filter(({ spec }) => spec.action === action)
			.filter(({ spec }) => spec.variants.length === 0 || spec.variants.includes(variantName))
			.map(({ metadata }) => metadata.name)
			.sort();
	return { allow: names("allow"), deny: names("deny") };
}

const three = [variant("v1", 9001), variant("v2", 9002), variant("v3", 9003)];

for (const set of Object.keys(sets)) {
	t.test(`${set}: each weighted entry has its rules`, async (t) => {
		const policies = policiesOf(set, "s");
		const plan = build(
			resourceSet({
				services: [service("s", three, { access: null })],
				experiments: [experiment("e", "s", [0, 1, 1])],
				accessPolicies: policies,
			}),
		);
		const host = virtualHost(plan, "s");
		t.same(inForce([host.typed_per_filter_config]), expected(policies, "v1"), "without a unit: the default Variant");
		const entries = weightedClusters(host);
		t.same([...new Set(entries.map(({ name }) => name))].sort(), ["s/v1", "s/v2", "s/v3"]);
		for (const { name, typed_per_filter_config: own = {} } of entries) {
			const want = expected(policies, name.slice("s/".length));
			t.same(inForce([own, host.typed_per_filter_config]), want, name);
		}
		t.equal(plan.asksSidecar, false);
	});
}

for (const set of Object.keys(apart)) {
	t.test(`${set}: the sidecar assigns, as only it knows the allowed Variants`, async (t) => {
		const policies = policiesOf(set, "s");
		const resources = resourceSet({
			services: [service("s", three, { access: null })],
			experiments: [experiment("e", "s", [0, 1, 1])],
			accessPolicies: policies,
		});
		const plan = build(resources);
		t.match(plan.table.services[0]?.callout, { assignment: true, verdict: true, onFailure: "deny" });
		const judging = policies.find(({ spec }) => spec.variants.length > 0)?.metadata.name;
		const why = `who may use each arm's Variant is known after identity, and only who may use all takes part: AccessPolicy ${judging} judges the Variants of Experiment e apart`;
		const rule = plan.rules.find((one) => one.rule.startsWith("Experiment e:"));
		t.match(rule, { execution: "callout", cost: { nativeUs: null } });
		t.ok(rule?.because.startsWith(`${why}: by XXH64("e:" + unit) `));
		const [problem, ...more] = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "native" }).problems;
		t.same(problem, {
			position: null,
			message: `Service s cannot be native: ${why}`,
			hint: `let spec.variants of AccessPolicy ${judging} name all of v2, v3 and the default Variant, or none; or compile with --mode auto, which asks the sidecar where it must`,
		});
		const verdict = `AccessPolicy ${judging} judges the Variants of Experiment e apart, and only who may use all takes part`;
		t.match(more, [{ message: `Service s cannot be native: ${verdict}` }]);
		const aborted = { e: experimentStatus(experiment("e", "s", [0, 1, 1]), { phase: "Aborted" }) };
		const ended = compile(resources, { experiments: aborted, services: {} }, { collectors: NO_COLLECTORS });
		t.equal(ended.asksSidecar, false, "without an Experiment that assigns, Envoy judges");
	});
}

t.test("entries of a Service whose policies judge no Variant carry no rules of their own", async (t) => {
	const plan = build(
		resourceSet({
			services: [service("s", three, { access: null })],
			experiments: [experiment("e", "s", [1, 1, 1])],
			accessPolicies: [accessPolicy("p", "allow", ["s"], { principals })],
		}),
	);
	for (const entry of weightedClusters(virtualHost(plan, "s"))) t.notOk("typed_per_filter_config" in entry);
});

t.test("a real Envoy's verdict equals authorize() for each Variant", async (t) => {
	const tls = await mutualTls(t);
	const upstream = await startVariantServer("v", (socket) => {
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	});
	t.teardown(() => upstream.close());
	const variants = ["v1", "v2", "v3"].map((name) => variant(name, upstream.port));
	const names = Object.keys(sets).map((set) => [set, `s${Object.keys(sets).indexOf(set)}`] as const);
	const services = names.map(([, name]) => service(name, variants, { access: null }));
	const accessPolicies = names.flatMap(([set, name]) => policiesOf(set, name));
	const plan = build(
		resourceSet({
			gateways: [gateway({ tls: tls.gateway })],
			services,
			accessPolicies,
			experiments: names.map(
				([, name]): Experiment => experiment(`e-${name}`, name, [0, 1, 1], { stepsPpm: [1_000_000], layer: name }),
			),
		}),
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const clients = await Promise.all(
		["alice", "bob"].map(async (name) => [name, await tls.client(envoy.port(), name)] as const),
	);
	const seen = new Map<string, number>();
	for (const { metadata } of services) {
		const own = services.find((candidate) => candidate.metadata.name === metadata.name);
		if (own === undefined) continue;
		for (const [who, client] of clients) {
			for (const unit of [null, "u1", "u2", "u3", "u4", "u5", "u6"]) {
				for (const [method, path] of [
					["GET", "/"],
					["GET", "/admin/x"],
					["DELETE", "/"],
				] as const) {
					const lines = unit === null ? [] : [Buffer.from(`x-user-id: ${unit}`)];
					const before = upstream.requests();
					const answer = await alone(client, rawGet(`${metadata.name}.test`, lines, path, method));
					const arm = headerValues(answer, "x-weir-arm")[0]?.split("/arm")[1];
					// A denied request has its arm too: Envoy adds the header to its own answers.
					const chosen = arm === undefined ? "v1" : `v${arm}`;
					const verdict = authorize(own, accessPolicies, {
						...{ principal: spiffe(who), method, path, variant: chosen },
						...{ token: null, region: null, nowMs: 0 },
					});
					const what = `${metadata.name} ${who} ${method} ${path} ${unit ?? "no unit"} on ${chosen}`;
					t.equal(answer.status, verdict.allowed ? 200 : 403, what);
					t.equal(upstream.requests() - before, verdict.allowed ? 1 : 0, "the upstream sees allowed requests only");
					seen.set(`${chosen} ${verdict.reason}`, (seen.get(`${chosen} ${verdict.reason}`) ?? 0) + 1);
				}
			}
		}
	}
	for (const name of ["v1", "v2", "v3"]) {
		for (const reason of ["allowed", "forbidden"]) t.ok(seen.get(`${name} ${reason}`), `${name} ${reason} was seen`);
	}
});
