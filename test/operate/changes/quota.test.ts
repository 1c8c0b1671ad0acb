/** Declared resources must fit into the published table. */

import t, { type Test } from "tap";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy, Resource, Service } from "../../../src/declare/resources/resource.js";
import { RESOURCES_MAX, TABLE_BYTES_MAX } from "../../../src/limits/index.js";
import { StateClient } from "../../../src/operate/api/client.js";
import { API_BODY_BYTES_MAX } from "../../../src/operate/api/http.js";
import {
	CHECKED_ENDPOINTS_MAX,
	DECLARED_BYTES_MAX,
	DECLARED_TABLE_BYTES_MAX,
	quotaProblems,
	ruleProblems,
	SELECTED_RULES_MAX,
} from "../../../src/operate/changes/quota.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { accessPolicy, service, variant } from "../../fixtures/resources.js";
import { file, METRIC, SERVICE, temporaryDirectory } from "../employment.js";
import { mutualApi } from "../mutualApi.js";

const wet = { by: "ann", dryRun: false, nowMs: 1_000 };
const HEAD = "apiVersion: weir.dev/v1alpha1\n";

/** A Service of the namespace with rules of about so many bytes, in several policies, as one document may hold so much only. */
function ruled(namespace: string, bytes: number, services = 1): string {
	const names = Array.from({ length: services }, (_, index) => `s${index}`);
	const own = names.map(
		(name) => `${HEAD}kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {hosts: [${name}.${namespace}.example], defaultVariant: v1, callout: {access: sidecar}, identities: plaintext, variants: [{name: v1, endpoints: [{address: ${name}.${namespace}.internal, port: 9}]}]}
`,
	);
	const rules = Array.from({ length: 8 }, (_, index) => {
		const paths = Array.from({ length: Math.ceil(bytes / 8 / 1_000) }, (_, at) => `/${at}-${"y".repeat(990)}`);
		return `${HEAD}kind: AccessPolicy
metadata: {name: p${index}, namespace: ${namespace}}
spec: {services: ["*"], action: allow, principals: [anyone], pathPrefixes: [${paths.join(", ")}]}
`;
	});
	return [...own, ...rules].join("---\n");
}

function opened(t: Test): Store {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	return store;
}

const problemsOf = (store: Store, text: string): readonly string[] => {
	const result = store.apply(file(text), wet);
	return result.outcome === "refused" ? result.problems.map(({ message }) => message) : [];
};

t.test("the table of all Services and rules is bounded", async (t) => {
	const store = opened(t);
	for (const namespace of ["a", "b"]) t.same(problemsOf(store, ruled(namespace, 2_900_000)), []);
	const result = store.apply(file(ruled("c", 2_900_000)), wet);
	t.match(result, {
		outcome: "refused",
		problems: [{ position: null, message: /^8\d{6} bytes of the table/, hint: /select fewer/ }],
	});
	t.match(problemsOf(store, ruled("c", 100_000, 40)), [/^9\d{6} bytes of the table/], "by rules of many Services too");
	t.same(problemsOf(store, SERVICE), [], "what still fits is taken");
	t.same(problemsOf(store, ruled("b", 100_000)), [], "less of it is welcome");
	t.same(problemsOf(store, ruled("c", 2_900_000)), []);
});

t.test("rules that are far too many are refused before each is asked about each Service", async (t) => {
	const store = opened(t);
	const services = (many: number) =>
		Array.from(
			{ length: many },
			(_, n) => `${HEAD}kind: Service
metadata: {name: s${n}}
spec: {hosts: [s${n}.example], defaultVariant: v1, identities: plaintext, ${n === 0 ? "dataClass: gold, " : ""}variants: [{name: v1, endpoints: [{address: s${n}.internal, port: 9, locality: {region: eu}}]}]}
`,
		);
	const rules = (many: number, selects: string, more = "") =>
		Array.from(
			{ length: many },
			(_, n) => `${HEAD}kind: AccessPolicy
metadata: {name: p${n}}
spec: {services: ${selects}, action: deny, principals: ["spiffe://a.example/p${n}"]${more}}
`,
		);
	const reader = `${HEAD}kind: AccessPolicy
metadata: {name: reader}
spec: {services: ["*"], action: allow, principals: ["spiffe://a.example/reader"]}
`;
	const gold = `${HEAD}kind: DataClass
metadata: {name: gold}
spec: {regions: [eu]}
`;
	t.same(problemsOf(store, [gold, ...services(300), reader].join("---\n")), []);
	const from = process.cpuUsage();
	t.same(problemsOf(store, rules(1_500, '["*"]').join("---\n")), [
		`450300 rules of Services would be declared, more than ${SELECTED_RULES_MAX}`,
	]);
	const { user, system } = process.cpuUsage(from);
	t.ok(user + system < 6_000_000, `${user + system} µs`);
	t.same(
		problemsOf(store, rules(150, '["*"]', ", dataClasses: [gold]").join("---\n")),
		[],
		"of one Service's data alone",
	);
	t.same(problemsOf(store, rules(150, "[s0, s1, default/s2]").join("---\n")), []);
});

t.test("rules are counted for each Service of their namespace that they select", async (t) => {
	const own = (many: number, dataClass: string | null = null) =>
		Array.from({ length: many }, (_, n) => {
			const one = service(`s${n}`, [variant("v1", 1)], { access: null });
			return { ...one, spec: { ...one.spec, dataClass } };
		});
	const rules = (many: number, services: readonly string[], spec: Partial<AccessPolicy["spec"]> = {}) =>
		Array.from({ length: many }, (_, n) => accessPolicy(`p${n}`, "deny", services, spec));
	const counted = (services: readonly Service[], accessPolicies: readonly AccessPolicy[], before = 0) =>
		ruleProblems({ services, accessPolicies: accessPolicies.slice(0, before) }, { services, accessPolicies }).map(
			({ message }) => Number.parseInt(message, 10),
		);
	const enough = Math.ceil((SELECTED_RULES_MAX + 1) / 400);
	const [services, times] = [own(400), 400 * enough];
	const names = services.map(({ metadata: { name } }) => name);
	t.same(counted(services, rules(enough - 1, ["*"])), []);
	t.same(counted(services, rules(enough, ["*"])), [times]);
	t.same(counted(services, rules(enough, names)), [times], "by their names");
	t.same(
		counted(
			services,
			rules(
				2 * enough,
				names.map((name) => `other/${name}`),
			),
		),
		[],
		"that are known",
	);
	t.same(counted(own(400, "gold"), rules(enough, ["*"], { dataClasses: ["gold"] })), [times]);
	t.same(counted(own(400, "gold"), rules(enough, ["*"], { dataClasses: ["silver"] })), []);
	t.same(counted(services, rules(enough, ["*"]), enough), [], "beyond the limit");
});

t.test("the texts of all documents are bounded, comments included, over any number of applies", async (t) => {
	const store = opened(t);
	const metric = (at: number): string => `${METRIC.replace("accuracy", `m${at}`)}# ${"x".repeat(4_000_000)}\n`;
	const most = Math.floor(DECLARED_BYTES_MAX / 4_000_100);
	for (let at = 0; at < most; at++) t.same(problemsOf(store, metric(at)), []);
	t.match(problemsOf(store, metric(most)), [/^\d+ bytes would be declared, more than/]);
	t.same(problemsOf(store, metric(0)), [], "a stored declaration may be applied again");
	t.same(problemsOf(store, METRIC), []);
});

t.test("ingest reads the largest table that apply allows, which is larger than a request", async (t) => {
	t.ok(DECLARED_TABLE_BYTES_MAX < TABLE_BYTES_MAX && TABLE_BYTES_MAX > API_BODY_BYTES_MAX);
	const { api, store } = await mutualApi(t);
	const name = "x".repeat(TABLE_BYTES_MAX - '{"gateways":[],"services":[{"name":""}]}'.length);
	await store.keepPlan("00ff", { gateways: [], services: [{ name }] } as never);
	t.equal(JSON.stringify(await new StateClient(api.socket).plan("00ff")).length, TABLE_BYTES_MAX);
});

t.test(
	"resources, and endpoints with a healthCheck, which take a socket each in every Envoy, are bounded",
	async (t) => {
		const stored = (resource: Resource) => ({ resource, source: "" });
		const metrics = Array.from({ length: RESOURCES_MAX + 1 }, () => stored(accessPolicy("p", "deny", [])));
		const messages = (after: readonly ReturnType<typeof stored>[], before: typeof after = []) =>
			quotaProblems(before, after, EMPTY_STATUS).map(({ message }) => message);
		t.same(messages(metrics.slice(1)), []);
		t.same(messages(metrics), [`${RESOURCES_MAX + 1} resources would be declared, more than ${RESOURCES_MAX}`]);
		t.same(messages(metrics, metrics), []);
		const checked = (endpoints: number, healthCheck: Service["spec"]["healthCheck"]) => {
			const { spec, ...one } = service("s", [variant("v1", 1)]);
			const [first] = spec.variants;
			if (first === undefined) throw new Error("no variant");
			const many = Array.from({ length: endpoints }, () => first.endpoints).flat();
			return [stored({ ...one, spec: { ...spec, healthCheck, variants: [{ ...first, endpoints: many }] } })];
		};
		const check = { path: "/h", intervalMs: 1_000, timeoutMs: 1_000 } as NonNullable<Service["spec"]["healthCheck"]>;
		t.same(messages(checked(CHECKED_ENDPOINTS_MAX, check)), []);
		t.match(messages(checked(CHECKED_ENDPOINTS_MAX + 1, check)), [/^8001 endpoints with a healthCheck would be/]);
		t.same(messages(checked(CHECKED_ENDPOINTS_MAX + 1, null)), []);
	},
);
