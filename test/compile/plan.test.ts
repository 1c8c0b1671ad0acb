/** Properties of compiled Plans, without an Envoy. */
import t from "tap";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan, EnvoyResources } from "../../src/compile/plan/compiledPlan.js";
import { parseRouteName, routeName } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS, type Status } from "../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { mulberry32 } from "../envoy/units.js";
import { accessPolicy, experiment, experimentStatus, resourceSet, service, variant } from "../fixtures/resources.js";
import { wordsOf } from "./table/explained.js";

const collectors = NO_COLLECTORS;
const build = (set: ResourceSet, status: Status = EMPTY_STATUS, options: Partial<CompileOptions> = {}): CompiledPlan =>
	compile(set, status, { collectors, ...options });

const variants = [1, 2, 3, 4, 5].map((index) => variant(`v${index}`, 9000 + index));

/** Every object in the value that has the key. */
function objectsWith(value: unknown, key: string): readonly Record<string, unknown>[] {
	if (Array.isArray(value)) return value.flatMap((item) => objectsWith(item, key));
	if (typeof value !== "object" || value === null) return [];
	const inner = Object.values(value).flatMap((item) => objectsWith(item, key));
	return key in value ? [value as Record<string, unknown>, ...inner] : inner;
}

function weights(envoy: EnvoyResources): readonly (readonly number[])[] {
	return objectsWith(envoy.routes, "weighted_clusters").map(({ weighted_clusters }) =>
		(weighted_clusters as { clusters: { weight: number }[] }).clusters.map(({ weight }) => weight),
	);
}

/** Paths of the leaves that differ. */
function differences(left: unknown, right: unknown, path = ""): readonly string[] {
	if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
		return Object.is(left, right) ? [] : [path];
	}
	const keys = [...new Set([...Object.keys(left), ...Object.keys(right)])];
	return keys.flatMap((key) =>
		differences((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key], `${path}/${key}`),
	);
}

t.test("a closed Service only answers 503; the table and other Services stay", async (t) => {
	const named = (name: string) =>
		experiment(`of-${name}`, name, [1, 1], { unit: { from: "header", header: `x-${name}` } });
	const set = resourceSet({
		services: [service("a", variants), service("b", variants)],
		experiments: [named("a"), named("b")],
		accessPolicies: [accessPolicy("p", "allow", ["b"], { pathPrefixes: ["/b"] })],
	});
	const whole = build(set, EMPTY_STATUS, { sidecar: "always" });
	const closed = build(set, EMPTY_STATUS, { sidecar: "always", closed: new Set(["b"]) });
	t.same([closed.version, closed.table], [whole.version, whole.table]);
	const hosts = objectsWith(closed.envoy.routes, "domains");
	t.same(hosts[0], objectsWith(whole.envoy.routes, "domains")[0]);
	t.match(hosts[1], {
		name: "b",
		domains: ["b.test"],
		routes: [{ direct_response: { status: 503, body: { inline_string: "closed: configuration-refused\n" } } }],
	});
	t.notOk(hosts[1]?.matcher);
	t.notMatch(JSON.stringify([closed.envoy.clusters, closed.envoy.endpoints, closed.envoy.listeners]), /"b\/|x-b"/);
	t.match(JSON.stringify([whole.envoy.clusters, whole.envoy.listeners]), /"b\/.*x-b"/s);
});

t.test(
	"the weights of an experiment are never negative and sum to 10⁶, at every allocation and takeover",
	async (t) => {
		const random = mulberry32(11);
		const below = (limit: number) => Math.floor(random() * limit);
		let checked = 0;
		for (let round = 0; round < 200; round++) {
			const arms = Array.from({ length: 2 + below(4) }, () => below(round % 2 === 0 ? 10 : 1_000_000));
			arms[0] = (arms[0] ?? 0) + 1;
			const own = experiment("e", "s", arms);
			const set = resourceSet({ services: [service("s", variants)], experiments: [own] });
			for (const allocationPpm of [0, 1, 333_333, 999_999, 1_000_000, below(1_000_001)]) {
				const promotion = { arm: "arm2", variant: "v2", stepIndex: 0, takeoverPpm: below(1_000_001) };
				const states = [
					{ allocationPpm },
					{ allocationPpm, shares: { ppm: { arm2: below(1_000_001), arm3: 1 }, firstMovedAtMs: 0, movedAtMs: 0 } },
					{ allocationPpm, closedArms: ["arm2"] },
					{ allocationPpm, phase: "Promoting" as const, promotion },
				];
				for (const state of states) {
					const plan = build(set, { experiments: { e: experimentStatus(own, state) }, services: {} });
					for (const list of weights(plan.envoy)) {
						checked++;
						const sum = list.reduce((total, weight) => total + weight, 0);
						if (sum !== 1_000_000 || list.some((weight) => weight < 0 || !Number.isInteger(weight))) {
							t.fail(`weights ${arms} at ${JSON.stringify(state)}: ${list}`);
						}
					}
				}
			}
		}
		t.equal(checked, 200 * 6 * 4);
	},
);

t.test("a ramp, a bandit, a takeover or a closed arm changes only weights and the plan version", async (t) => {
	const own = experiment("e", "s", [1, 2, 3], { slotPpm: [100_000, 900_000] });
	const set = resourceSet({ services: [service("s", variants)], experiments: [own] });
	const at = (fields: Parameters<typeof experimentStatus>[1]) =>
		build(set, { experiments: { e: experimentStatus(own, fields) }, services: {} });
	const promotion = { arm: "arm3", variant: "v3", stepIndex: 0, takeoverPpm: 200_000 };
	const shares = { ppm: { arm1: 1_000_000, arm2: 50_000, arm3: 700_000 }, firstMovedAtMs: 0, movedAtMs: 0 };
	const plans = [
		at({ allocationPpm: 20_000 }),
		at({ allocationPpm: 500_000 }),
		at({ allocationPpm: 1_000_000 }),
		at({ allocationPpm: 1_000_000, shares }),
		at({ allocationPpm: 1_000_000, shares, phase: "Promoting", promotion }),
		at({ allocationPpm: 500_000, closedArms: ["arm2"] }),
		at({ allocationPpm: 1_000_000, phase: "Promoting", promotion }),
	];
	for (const [index, plan] of plans.entries()) {
		const next = plans[(index + 1) % plans.length] as CompiledPlan;
		t.same(plan.envoy.clusters, next.envoy.clusters);
		t.same(plan.envoy.endpoints, next.envoy.endpoints);
		t.same(plan.envoy.listeners, next.envoy.listeners);
		const plain = (of: CompiledPlan) => JSON.parse(JSON.stringify(of.envoy.routes).replaceAll(of.version, "VERSION"));
		const paths = differences(plain(plan), plain(next));
		t.ok(paths.length > 0, "something changed");
		t.same(
			paths.filter((path) => !path.endsWith("/weight")),
			[],
		);
	}
});

t.test("the plan version depends only on the content", async (t) => {
	const own = experiment("e", "s", [1, 1]);
	const set = resourceSet({ services: [service("s", variants)], experiments: [own] });
	const { version } = build(set);
	t.match(version, /^[0-9a-f]{16}$/);
	t.equal(build(structuredClone(set)).version, version, "same content, same version");
	t.equal(build(set, EMPTY_STATUS, { allocationPpm: 200_000 }).version, version, "the first step is the default");
	t.not(build(set, EMPTY_STATUS, { allocationPpm: 200_010 }).version, version, "another allocation");
	const promoted: Status = { experiments: {}, services: { s: { defaultVariant: "v2" } } };
	t.not(build(set, promoted).version, version, "another default Variant");
	t.not(build({ ...set, experiments: [experiment("e", "s", [1, 2])] }).version, version, "other weights");
});

t.test("after an Experiment only the route to the default Variant is left", async (t) => {
	const own = experiment("e", "s", [1, 1]);
	const set = resourceSet({ services: [service("s", variants)], experiments: [own] });
	for (const phase of ["Promoted", "RolledBack", "Aborted"] as const) {
		const plan = build(set, {
			experiments: { e: experimentStatus(own, { phase }) },
			services: { s: { defaultVariant: "v2" } },
		});
		t.same(weights(plan.envoy), []);
		t.same(
			objectsWith(plan.envoy.routes, "cluster").map(({ cluster }) => cluster),
			["s/v2"],
		);
	}
});

t.test("route names contain plan, Service and Experiment, and are parsed back", async (t) => {
	t.same(parseRouteName(routeName("00ff", "prod/s", "prod/e")), {
		version: "00ff",
		service: "prod/s",
		experiment: "prod/e",
	});
	t.same(parseRouteName(routeName("00ff", "s", null)), { version: "00ff", service: "s", experiment: null });
	t.equal(parseRouteName("other"), null);
	t.equal(parseRouteName("x|1|s|-"), null);
});

t.test("addresses come by EDS, DNS names inline, grouped by locality in declared order", async (t) => {
	const at = (zone: string) => ({ region: "eu", zone, subZone: "" });
	const byAddress = {
		name: "v1",
		endpoints: [
			{ address: "10.0.0.1", port: 1, locality: at("a") },
			{ address: "::1", port: 2, locality: at("b") },
			{ address: "10.0.0.3", port: 3, locality: at("a") },
			{ address: "10.0.0.4", port: 4, locality: null },
		],
	};
	const byName = {
		name: "v2",
		endpoints: [
			{ address: "model.svc", port: 1, locality: null },
			{ address: "10.0.0.9", port: 2, locality: null },
		],
	};
	const plan = build(resourceSet({ services: [service("s", [byAddress, byName])] }));
	const [eds, dns] = plan.envoy.clusters;
	t.match(eds, {
		name: "s/v1",
		type: "EDS",
		lb_policy: "LEAST_REQUEST",
		eds_cluster_config: { eds_config: { ads: {} } },
	});
	t.notOk(eds && "load_assignment" in eds);
	t.match(dns, { name: "s/v2", type: "STRICT_DNS" });
	t.equal(objectsWith(dns, "socket_address").length, 2);
	t.same(
		plan.envoy.endpoints.map(({ cluster_name }) => cluster_name),
		["s/v1"],
	);
	const groups = plan.envoy.endpoints[0]?.endpoints as { locality: unknown; lb_endpoints: unknown[] }[];
	t.same(
		groups.map(({ locality, lb_endpoints }) => [locality, lb_endpoints.length]),
		[
			[{ region: "eu", zone: "a", sub_zone: "" }, 2],
			[{ region: "eu", zone: "b", sub_zone: "" }, 1],
			[{ region: "", zone: "", sub_zone: "" }, 1],
		],
	);
});

t.test("without a Gateway the Plan reports that there is no listener", async (t) => {
	const plan = build(resourceSet({ gateways: [], services: [service("s", variants)] }));
	t.match(plan.problems, [{ message: /no Gateway/ }]);
	t.same(plan.envoy.listeners, []);
});

t.test("every rule names its execution, and open Services are marked", async (t) => {
	const plan = build(
		resourceSet({
			services: [
				service("a", variants),
				service("b", variants, { access: null }),
				service("c", variants, { access: null }),
				service("d", variants, {
					rateLimits: {
						service: { requests: 5, perMs: 1_500 },
						principal: null,
						tenant: { requests: 2, perMs: 1_000 },
					},
				}),
			],
			experiments: [experiment("e", "a", [1, 1], { slotPpm: [0, 250_000] })],
			accessPolicies: [accessPolicy("p", "allow", ["b"], { principals: ["spiffe://x/y"] })],
		}),
	);
	const because = (rule: string) =>
		plan.rules
			.filter((one) => one.rule === rule)
			.map(wordsOf)
			.join();
	t.ok(plan.rules.every(({ execution }) => execution === "native"));
	t.match(because("Service a: access"), /^OPEN/);
	t.match(because("Service b: access"), /^RBAC .*; allowed by p; forbidden by no policy; else 403 no-policy-allows$/);
	t.match(because("Service c: access"), /; allowed by no policy; forbidden by no policy; else 403/);
	t.match(because("Service b: canonical form"), /not in one canonical form is refused before any policy/);
	t.notMatch(because("Service b: canonical form"), /different ways/, "no policy matches paths");
	t.equal(because("Service a: canonical form"), "", "an open Service has no such rule");
	t.equal(
		because("Service d: rate limits"),
		"each Gateway of each Envoy by itself, 429 beyond: all together 5 per 1.5s, each tenant 2 per 1s; requests without exactly one tenant share one bucket",
	);
	t.equal(because("Service a: rate limits"), "");
	t.match(because("Experiment e: one valid header x-user-id in layer slot 0%–25%"), /arm1 → v1 10%, arm2 → v2 10%/);
});

t.test("the text of a bandit changes with its first move", async (t) => {
	const own = experiment("e", "s", [1, 1]);
	const bandit = { algorithm: "thompson", floorPpm: 100_000, everyMs: 1 } as const;
	const declared = { ...own, spec: { ...own.spec, rollout: { ...own.spec.rollout, bandit } } };
	const set = resourceSet({ services: [service("s", variants)], experiments: [declared] });
	const banditText = (fields: Parameters<typeof experimentStatus>[1]): string =>
		build(set, { experiments: { e: experimentStatus(declared, fields) }, services: {} }).rules.find(({ rule }) =>
			rule.startsWith("Experiment e"),
		)?.because ?? "";
	t.match(banditText({}), /a bandit sets how much of each challenger's region is live, never less than its first 10%$/);
	const shares = { ppm: { arm2: 250_000 }, firstMovedAtMs: 1, movedAtMs: 1 };
	t.match(
		banditText({ stepIndex: 1, allocationPpm: 1_000_000, shares }),
		/arm2 → v2 12\.5%.*never less than its first 10%, whose units alone are compared since it has moved$/,
	);
});

t.test("a promoted Variant that is no longer declared is replaced by the declared default", async (t) => {
	const set = resourceSet({ services: [service("s", [variant("v1", 9001), variant("v3", 9003)])] });
	const { table } = build(set, { experiments: {}, services: { s: { defaultVariant: "v2" } } });
	t.equal(table.services[0]?.defaultVariant, "v1");
});

t.test("forwarded requests are logged at a Gateway with a protected Service", async (t) => {
	const logged = { accessLogSocket: "/run/als.sock", tracesSocket: null, traceSamplingPercent: 0 };
	const sent = (access: "open" | null) => {
		const accessPolicies = [accessPolicy("may", "allow", ["s"], { principals: ["spiffe://mesh/web"] })];
		const services = [service("s", variants, { access })];
		const set = resourceSet({ services, accessPolicies: access === null ? accessPolicies : [] });
		return JSON.stringify(build(set, undefined, { collectors: logged }).envoy.listeners).includes("UpstreamPoolReady");
	};
	t.equal(sent("open"), false);
	t.equal(sent(null), true);
});

t.test("an Experiment's start or end changes no listener: Envoy would drain its connections", (t) => {
	const logged = { accessLogSocket: "/run/als.sock", tracesSocket: null, traceSamplingPercent: 0 };
	const one = experiment("e", "a", [1, 1], { stepsPpm: [1_000_000] });
	const ended = { experiments: { e: experimentStatus(one, { phase: "RolledBack", allocationPpm: 0 }) }, services: {} };
	for (const rules of [{}, { variants: ["v1"] }]) {
		const set = {
			services: [service("a", variants, { access: null })],
			accessPolicies: [accessPolicy("may", "allow", ["a"], { principals: ["spiffe://mesh/web"], ...rules })],
		};
		// The options that control uses for its Envoys.
		const listeners = (resources: ResourceSet, status?: Status) =>
			build(resources, status, { collectors: logged, sidecar: "always" }).envoy.listeners;
		const without = listeners(resourceSet(set));
		t.ok(without.length > 0);
		t.same(listeners(resourceSet({ ...set, experiments: [one] })), without, "one that runs");
		t.same(listeners(resourceSet({ ...set, experiments: [one] }), ended), without, "an ended Experiment");
	}
	t.end();
});
