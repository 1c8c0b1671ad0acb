/** What is declared fits into the table that is published, and no namespace takes all of it. */
import t, { type Test } from "tap";
import {
	API_BODY_BYTES_MAX,
	CHECKED_ENDPOINTS_MAX,
	DECLARED_TABLE_BYTES_MAX,
	NAMESPACE_CHECKED_ENDPOINTS_MAX,
	NAMESPACE_DECLARED_BYTES_MAX,
	NAMESPACE_RESOURCES_MAX,
	NAMESPACE_TABLE_BYTES_MAX,
	PLAN_BODY_BYTES_MAX,
	RESOURCE_DOCUMENTS_MAX,
	RESOURCES_MAX,
	TABLE_BYTES_MAX,
} from "../../src/limits.js";
import type { AccessPolicy, Service } from "../../src/resources/resource.js";
import { ruleProblems } from "../../src/state/acts/room.js";
import { StateClient } from "../../src/state/api/client.js";
import { Store } from "../../src/state/store/store.js";
import { accessPolicy, service, variant } from "../fixtures/resources.js";
import { file, METRIC, SERVICE, temporaryDirectory } from "./employment.js";
import { mutualApi } from "./mutualApi.js";

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

t.test("one namespace cannot fill the table, by long rules or by rules of many Services", async (t) => {
	const store = opened(t);
	t.same(problemsOf(store, ruled("a", 2_900_000)), []);
	t.match(problemsOf(store, ruled("b", 3_300_000)), [
		/^the rules of namespace b would take 3[23]\d{5} bytes of the table/,
	]);
	t.match(problemsOf(store, ruled("c", 100_000, 40)), [/^the rules of namespace c would take 4\d{6} bytes/]);
	t.same(problemsOf(store, SERVICE), [], "others go on");
	t.equal(store.current.revision, 2);
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
		"the rules of namespace default would be in the table 450300 times, once for each of its Services that they select; it holds fewer than 31457",
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

t.test(
	"of rules that are far too many, those are counted that are in the table, and only what makes more of them is refused",
	async (t) => {
		const own = (many: number, dataClass: string | null = null) =>
			Array.from({ length: many }, (_, n) => {
				const one = service(`s${n}`, [variant("v1", 1)], { access: null });
				return { ...one, spec: { ...one.spec, dataClass } };
			});
		const rules = (many: number, services: readonly string[], spec: Partial<AccessPolicy["spec"]> = {}) =>
			Array.from({ length: many }, (_, n) => accessPolicy(`p${n}`, "deny", services, spec));
		const set = (services: readonly Service[], accessPolicies: readonly AccessPolicy[]) => ({
			services,
			accessPolicies,
		});
		const none = set([], []);
		const counted = (all: ReturnType<typeof set>, before = none) =>
			ruleProblems(before, all).map(({ message }) => Number(/table (\d+) times/.exec(message)?.[1]));
		const [few, many] = [own(200), own(400)];
		t.same(counted(set(few, rules(157, ["*"]))), []);
		t.same(counted(set(few, rules(158, ["*"]))), [31_600]);
		t.same(
			counted(
				set(
					many,
					rules(
						100,
						many.map(({ metadata }) => metadata.name),
					),
				),
			),
			[40_000],
			"by their names",
		);
		t.same(
			counted(
				set(
					many,
					rules(
						100,
						many.map(({ metadata }) => `default/${metadata.name}`),
					),
				),
			),
			[40_000],
		);
		t.same(
			counted(
				set(
					few,
					rules(
						100,
						many.map(({ metadata }) => metadata.name),
					),
				),
			),
			[],
			"that are known",
		);
		t.same(
			counted(
				set(
					few,
					rules(
						1_000,
						few.map(({ metadata }) => `other/${metadata.name}`),
					),
				),
			),
			[],
			"and its own",
		);
		const gold = { dataClasses: ["gold", "default/gold", "silver"] };
		t.same(counted(set([...own(200, "gold"), ...own(200)], rules(158, ["*"], gold))), [31_600], "of their DataClasses");
		t.same(counted(set([...own(100, "gold"), ...own(900)], rules(158, ["*"], gold))), []);
		t.same(
			counted(
				set(
					own(400, "gold"),
					rules(
						100,
						many.map(({ metadata }) => metadata.name),
						gold,
					),
				),
			),
			[40_000],
		);
		t.same(
			counted(
				set(
					own(400, "iron"),
					rules(
						100,
						many.map(({ metadata }) => metadata.name),
						gold,
					),
				),
			),
			[],
		);
		t.same(
			counted(
				set(
					few,
					rules(
						157,
						few.flatMap(({ metadata: { name } }) => [name, `default/${name}`]),
					),
				),
			),
			[],
			"each Service once, however often it is named",
		);
		const full = set(few, rules(300, ["*"]));
		t.same(counted(full, full), [], "one that is beyond it can be changed");
		t.same(counted(set(few, rules(299, ["*"])), full), [], "and made smaller");
		t.same(counted(set(few, rules(301, ["*"])), full), [60_200]);
	},
);

t.test("of two namespaces with the same names, each one's own rules at its own Services are counted", async (t) => {
	const within = <One extends Service | AccessPolicy>(namespace: string, all: readonly One[]): readonly One[] =>
		all.map((one) => ({ ...one, metadata: { ...one.metadata, namespace } }));
	const services = (namespace: string, many: number, dataClass: string | null = null) =>
		within(
			namespace,
			Array.from({ length: many }, (_, n) => {
				const one = service(`s${n}`, [variant("v1", 1)], { access: null });
				return { ...one, spec: { ...one.spec, dataClass } };
			}),
		);
	const rules = (selects: readonly string[], dataClasses: readonly string[] = []) =>
		within(
			"a",
			Array.from({ length: 100 }, (_, n) => accessPolicy(`p${n}`, "deny", selects, { dataClasses })),
		);
	const told = (accessPolicies: readonly AccessPolicy[], ...all: readonly (readonly Service[])[]) =>
		ruleProblems({ services: [], accessPolicies: [] }, { services: all.flat(), accessPolicies }).map(
			({ message }) => /namespace (\S+) would be in the table (\d+)/.exec(message)?.slice(1).join(" ") ?? message,
		);
	const theirs = services("b", 400);
	const names = theirs.map(({ metadata: { name } }) => name);
	t.same(told(rules(["*"]), services("a", 400), services("b", 100)), ["a 40000"]);
	t.same(told(rules(["*"]), services("a", 100), theirs), []);
	t.same(told(rules(["s0", "*"]), services("a", 400)), ["a 40000"], "wherever the star stands");
	t.same(told(rules(names.map((name) => `b/${name}`)), theirs), [], "others by name");
	t.same(told(rules(names), services("a", 100), theirs), []);
	const [gold, own] = [services("a", 400, "gold"), services("a", 400, "default/gold")];
	t.same(told(rules(["*"], ["gold"]), gold), ["a 40000"], "a DataClass is its namespace's");
	t.same(told(rules(["*"], ["gold"]), own, services("b", 400, "gold")), []);
	t.same(told(rules(["*"], ["default/gold"]), own), ["a 40000"]);
	t.same(told(rules(names, ["a/gold"]), gold), ["a 40000"]);
	t.same(told(rules(names, ["default/gold"]), gold), []);
});

t.test("what all declare together fits too, and is told by its hint", async (t) => {
	const store = opened(t);
	for (const namespace of ["a", "b"]) t.same(problemsOf(store, ruled(namespace, 2_900_000)), []);
	const result = store.apply(file(ruled("c", 2_900_000)), wet);
	t.match(result, {
		outcome: "refused",
		problems: [
			{ position: null, message: /^the table of all Services and rules would have 8\d{6} bytes/, hint: /select fewer/ },
		],
	});
	t.ok(
		store.apply(file(ruled("c", 2_900_000)), { ...wet, dryRun: true }).outcome === "refused",
		"a dry run says so too",
	);
	t.same(problemsOf(store, ruled("b", 100_000)), [], "less of it is welcome");
	t.same(problemsOf(store, ruled("c", 2_900_000)), []);
});

t.test("the texts of one namespace are bounded, comments included, over any number of applies", async (t) => {
	const store = opened(t);
	const metric = (name: string): string =>
		`${METRIC.replace("name: accuracy", `name: ${name}, namespace: a`)}# ${"x".repeat(1_500_000)}\n`;
	t.same(problemsOf(store, metric("one")), []);
	t.same(problemsOf(store, metric("two")), []);
	t.match(problemsOf(store, metric("three")), [/^namespace a would declare 45\d{5} bytes, more than/]);
	t.same(problemsOf(store, metric("two")), [], "what stands may be applied again");
	t.same(problemsOf(store, METRIC), []);
	t.ok(NAMESPACE_DECLARED_BYTES_MAX < 4_500_000);
});

t.test(
	"the internal door takes the largest table that apply lets through, and one that is larger than a request",
	async (t) => {
		t.ok(NAMESPACE_TABLE_BYTES_MAX < DECLARED_TABLE_BYTES_MAX);
		t.ok(DECLARED_TABLE_BYTES_MAX < TABLE_BYTES_MAX && TABLE_BYTES_MAX < PLAN_BODY_BYTES_MAX);
		const { api } = await mutualApi(t);
		const xds = new StateClient(api.socket);
		const table = (bytes: number) => ({
			gateways: [],
			services: [{ name: "x".repeat(bytes - '{"gateways":[],"services":[{"name":""}]}'.length) }],
		});
		t.ok(TABLE_BYTES_MAX > API_BODY_BYTES_MAX);
		const largest = table(TABLE_BYTES_MAX);
		await xds.keepPlan("00ff", largest as never);
		t.equal(JSON.stringify(await xds.plan("00ff")).length, TABLE_BYTES_MAX);
		await t.rejects(xds.keepPlan("00fe", table(PLAN_BODY_BYTES_MAX + 1) as never), { code: "invalid-argument" });
	},
);

const metrics = (namespace: string, count: number, from = 0): string =>
	Array.from(
		{ length: count },
		(_, at) => `${HEAD}kind: Metric\nmetadata: {name: m${from + at}, namespace: ${namespace}}\nspec: {type: mean}\n`,
	).join("---\n");

t.test("one namespace cannot declare all the resources that there may be", async (t) => {
	const store = opened(t);
	t.same(problemsOf(store, metrics("a", NAMESPACE_RESOURCES_MAX)), []);
	t.same(problemsOf(store, metrics("a", 1, NAMESPACE_RESOURCES_MAX)), [
		`namespace a would declare ${NAMESPACE_RESOURCES_MAX + 1} resources, more than ${NAMESPACE_RESOURCES_MAX}`,
	]);
	const rest = RESOURCES_MAX - NAMESPACE_RESOURCES_MAX - 1;
	t.ok(NAMESPACE_RESOURCES_MAX + rest > RESOURCE_DOCUMENTS_MAX, "what stands is no document of the request");
	t.same(problemsOf(store, metrics("b", rest)), [], "others go on");
	t.same(problemsOf(store, metrics("c", 2)), [
		`all namespaces would declare ${RESOURCES_MAX + 1} resources together, more than ${RESOURCES_MAX}`,
	]);
	t.same(problemsOf(store, metrics("c", 1)), []);
});

t.test(
	"endpoints with a healthCheck take a socket each in every Envoy: bounded for each namespace and for all",
	async (t) => {
		const store = opened(t);
		const checked = (namespace: string, count: number, check = "healthCheck: {path: /h}"): string => {
			const endpoints = (from: number, length: number): string =>
				Array.from({ length }, (_, at) => `{address: ${namespace}.internal, port: ${from + at}}`).join(", ");
			const half = Math.ceil(count / 2);
			return `${HEAD}kind: Service
metadata: {name: s, namespace: ${namespace}}
spec:
  hosts: [${namespace}.example]
  access: open
  ${check}
  defaultVariant: v1
  variants:
    - {name: v1, endpoints: [${endpoints(1, half)}]}
    - {name: v2, endpoints: [${endpoints(1 + half, count - half)}]}
`;
		};
		const most = NAMESPACE_CHECKED_ENDPOINTS_MAX;
		t.same(problemsOf(store, checked("a", most + 1)), [
			`namespace a would declare ${most + 1} endpoints with a healthCheck, more than ${most}`,
		]);
		t.same(problemsOf(store, checked("a", most + 1, "")), [], "those that nobody checks take none");
		for (let all = 0; all < CHECKED_ENDPOINTS_MAX; all += most) t.same(problemsOf(store, checked(`n${all}`, most)), []);
		t.same(problemsOf(store, checked("b", 1)), [
			`all namespaces would declare ${CHECKED_ENDPOINTS_MAX + 1} endpoints with a healthCheck together, more than ${CHECKED_ENDPOINTS_MAX}`,
		]);
	},
);
