/** Callout filters: exactly one for a Service in callout, none for a native one, independent of other Services. */
import t from "tap";
import { GATE_FILTER } from "../../../src/compile/envoy/accessControl.js";
import {
	ASSIGN_FILTER,
	EXT_AUTHZ_NAMESPACE,
	METADATA_NAMESPACE,
	PROCESS_FILTER,
	VERDICT_FILTER,
} from "../../../src/compile/envoy/calloutContext.js";
import { CALLOUT_TIMEOUT_MS } from "../../../src/compile/envoy/calloutFilters.js";
import { PROOF_FILTER } from "../../../src/compile/envoy/calloutProof.js";
import { type CompiledPlan, routeName } from "../../../src/compile/plan/compiledPlan.js";
import { VARIANT_HEADER } from "../../../src/compile/plan/headers.js";
import { tokenIssuer } from "../../fixtures/resources.js";
import { build, IN_CALLOUT, NATIVE, neighbours } from "./neighbours.js";
import {
	calloutsOn,
	configOf,
	httpFilters,
	type PerFilter,
	valuesUnder,
	virtualHost,
	weightedClusters,
} from "./virtualHosts.js";

const PROTOCOLS = ["ext_authz", "ext_proc"] as const;
const FACTS_OF_ROUTE = ["weir-plan", "weir-service", "weir-gateway", "weir-expose"];

/** The sidecar's context under a configuration, by name. */
function factsIn(levels: readonly PerFilter[], filter: string): Record<string, string> {
	const config = configOf(filter, ...levels);
	const [extensions] = valuesUnder(config, "context_extensions");
	if (extensions !== undefined) return extensions as Record<string, string>;
	const metadata = valuesUnder(config, "grpc_initial_metadata").flat() as readonly { key: string; value: string }[];
	return Object.fromEntries(metadata.map(({ key, value }) => [key, value]));
}

for (const protocol of PROTOCOLS) {
	t.test(`${protocol}: one filter is on for each Service in callout, none for the native ones`, async (t) => {
		const plan = build(neighbours(), { protocol });
		t.equal(plan.asksSidecar, true);
		for (const name of NATIVE) {
			const host = virtualHost(plan, name);
			t.same(calloutsOn(plan, host.typed_per_filter_config), [], name);
			for (const entry of weightedClusters(host)) {
				t.same(calloutsOn(plan, entry.typed_per_filter_config ?? {}, host.typed_per_filter_config), [], entry.name);
			}
			t.equal(plan.table.services.find((service) => service.name === name)?.callout, null, name);
		}
		for (const name of IN_CALLOUT) {
			const passes = name === "cookie-passes";
			const want = protocol === "ext_proc" ? PROCESS_FILTER : passes ? ASSIGN_FILTER : VERDICT_FILTER;
			const host = virtualHost(plan, name);
			t.same(calloutsOn(plan, host.typed_per_filter_config), [want], name);
			for (const entry of weightedClusters(host)) {
				const own = entry.typed_per_filter_config ?? {};
				t.same(calloutsOn(plan, own, host.typed_per_filter_config), [want], `${name}: ${entry.name}`);
			}
			const process = configOf(PROCESS_FILTER, host.typed_per_filter_config);
			t.same(valuesUnder(process, "failure_mode_allow"), passes && protocol === "ext_proc" ? [true] : [], name);
		}
	});

	t.test(`${protocol}: the sidecar gets plan, Service and, if Envoy assigns, the arm`, async (t) => {
		const plan = build(neighbours(), { protocol });
		const route = (name: string) => ({
			"weir-plan": plan.version,
			"weir-service": name,
			"weir-gateway": "edge",
			"weir-expose": "1",
		});
		const filter = protocol === "ext_proc" ? PROCESS_FILTER : VERDICT_FILTER;
		const hostFacts = (name: string) => factsIn([virtualHost(plan, name).typed_per_filter_config], filter);
		t.same(hostFacts("cookie"), route("cookie"), "a full callout has no Variant");
		t.same(hostFacts("judged-cookie"), route("judged-cookie"));
		t.same(hostFacts("asks"), { ...route("asks"), "weir-variant": "v1" });
		const host = virtualHost(plan, "asks-header");
		t.same(hostFacts("asks-header"), { ...route("asks-header"), "weir-variant": "v1" }, "without a unit: the default");
		const arms = { arm1: "v1", arm2: "v2" };
		for (const { name, typed_per_filter_config: own = {} } of weightedClusters(host)) {
			const facts = factsIn([own, host.typed_per_filter_config], filter);
			const { "weir-arm": arm, ...rest } = facts;
			const chosen = name.slice("asks-header/".length);
			t.same(rest, { ...route("asks-header"), "weir-experiment": "e-asks-header", "weir-variant": chosen });
			t.equal(arm === undefined ? "v1" : arms[arm as keyof typeof arms], chosen, `arm ${arm ?? "-"}`);
		}
		const shown = weightedClusters(host).map(
			({ typed_per_filter_config: own = {} }) => factsIn([own], filter)["weir-arm"] ?? "-",
		);
		t.same([...new Set(shown)].sort(), ["-", "arm1", "arm2"]);
		t.same(Object.keys(hostFacts("cookie")).sort(), [...FACTS_OF_ROUTE].sort());
	});
}

t.test("the sidecar does not expose the arm if the Gateway does not", async (t) => {
	const set = neighbours(["cookie"]);
	const [gateway] = set.gateways;
	if (gateway === undefined) throw new Error("no Gateway");
	const hidden = { ...set, gateways: [{ ...gateway, spec: { ...gateway.spec, exposeArm: false } }] };
	const facts = factsIn([virtualHost(build(hidden), "cookie").typed_per_filter_config], VERDICT_FILTER);
	t.notOk("weir-expose" in facts);
});

/** A virtual host without its plan version; the configuration that disables the callout is separate. */
function apart(plan: CompiledPlan, service: string) {
	const host = JSON.parse(JSON.stringify(virtualHost(plan, service)).replaceAll(plan.version, "VERSION"));
	const { [VERDICT_FILTER]: off, [PROOF_FILTER]: _, ...others } = host.typed_per_filter_config as PerFilter;
	return { off, rest: JSON.stringify({ ...host, typed_per_filter_config: others }) };
}

for (const protocol of PROTOCOLS) {
	t.test(`${protocol}: a native Service is byte-identical with and without others in callout`, async (t) => {
		const alone = build(neighbours(NATIVE), { protocol });
		const beside = build(neighbours(), { protocol });
		t.equal(alone.asksSidecar, false);
		for (const name of NATIVE) {
			const [without, withOthers] = [apart(alone, name), apart(beside, name)];
			t.equal(withOthers.rest, without.rest, name);
			t.equal(without.off, undefined);
			t.same(withOthers.off, { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true });
			const clusters = (plan: CompiledPlan) =>
				JSON.stringify(plan.envoy.clusters.filter((cluster) => String(cluster.name).startsWith(`${name}/`)));
			t.equal(clusters(beside), clusters(alone), `${name}: clusters`);
			const table = (plan: CompiledPlan) => plan.table.services.find((service) => service.name === name);
			t.same(table(beside), table(alone), `${name}: table`);
		}
		const calloutNames = [VERDICT_FILTER, ASSIGN_FILTER, PROCESS_FILTER, PROOF_FILTER];
		const filters = httpFilters(beside).filter(({ name }) => !calloutNames.includes(name));
		t.same(filters, httpFilters(alone), "the other filters stay the same");
		t.notOk(JSON.stringify(alone.envoy).includes("weir_sidecar"), "a Plan without callouts names no sidecar");
	});
}

t.test("with `sidecar: always` the callout filters exist before a Service needs them", async (t) => {
	const plan = build(neighbours(NATIVE), { sidecar: "always" });
	t.equal(plan.asksSidecar, true);
	for (const name of NATIVE) t.same(calloutsOn(plan, virtualHost(plan, name).typed_per_filter_config), [], name);
	const first = httpFilters(plan).find(({ name }) => name === VERDICT_FILTER);
	t.match(valuesUnder(first, "timeout"), [`${CALLOUT_TIMEOUT_MS / 1_000}s`]);
});

t.test("a virtual host without callout configuration asks the sidecar and fails closed", async (t) => {
	const plan = build(neighbours());
	t.same(calloutsOn(plan, {}), [VERDICT_FILTER]);
	const filters = new Map(httpFilters(plan).map(({ name, typed_config }) => [name, typed_config]));
	t.match(filters.get(VERDICT_FILTER), { failure_mode_allow: false, status_on_error: { code: "ServiceUnavailable" } });
	t.match(filters.get(PROCESS_FILTER), { failure_mode_allow: false, status_on_error: { code: "ServiceUnavailable" } });
	t.match(filters.get(ASSIGN_FILTER), { failure_mode_allow: true });
});

t.test("the sidecar's answer is proved unless requests may pass unanswered, and by default", async (t) => {
	for (const protocol of PROTOCOLS) {
		const plan = build(neighbours(), { protocol });
		const base = httpFilters(plan).find(({ name }) => name === PROOF_FILTER);
		t.same(valuesUnder(base, "filter"), [EXT_AUTHZ_NAMESPACE]);
		t.same(valuesUnder(base, "action"), ["DENY"]);
		const own = (name: string) => configOf(PROOF_FILTER, virtualHost(plan, name).typed_per_filter_config);
		const off = { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute" };
		for (const name of [...NATIVE, "cookie-passes"]) t.same(own(name), off, name);
		for (const name of IN_CALLOUT.filter((each) => each !== "cookie-passes")) {
			if (protocol === "ext_authz") t.equal(own(name), undefined, `${name}: as on the listener`);
			else t.same(valuesUnder(own(name), "filter"), [METADATA_NAMESPACE], name);
			for (const { typed_per_filter_config: entry = {} } of weightedClusters(virtualHost(plan, name)))
				t.same(
					entry[PROOF_FILTER],
					protocol === "ext_authz" ? undefined : own(name),
					`${name}: entries keep the proof`,
				);
		}
	}
});

t.test("filters come in the order token, Envoy's access rules, sidecar, router", async (t) => {
	t.same(
		httpFilters(build(neighbours())).map(({ name }) => name),
		[
			"weir.mutations",
			"weir.gate",
			"weir.tokens/edge",
			"weir.claims.rules/edge",
			"weir.claims",
			"weir.claims.others",
			"weir.deny",
			"weir.allow",
			VERDICT_FILTER,
			ASSIGN_FILTER,
			PROCESS_FILTER,
			PROOF_FILTER,
			"envoy.filters.http.router",
		],
	);
});

t.test("Envoy uses the longest timeout of any Service in callout, and sends only required headers", async (t) => {
	const plan = build(neighbours());
	const filters = new Map(httpFilters(plan).map(({ name, typed_config }) => [name, typed_config]));
	for (const name of [VERDICT_FILTER, ASSIGN_FILTER, PROCESS_FILTER]) {
		t.same(valuesUnder(filters.get(name), "timeout"), ["0.75s"], name);
	}
	t.equal(filters.get(PROCESS_FILTER)?.message_timeout, "0.75s");
	const shown = (name: string) =>
		(valuesUnder(filters.get(name), "allowed_headers")[0] as { patterns: readonly object[] }).patterns;
	const units = ["x-user-id", "x-weir-claim-org-2etenant", "cookie"];
	t.same(shown(VERDICT_FILTER), [
		...units.map((exact) => ({ exact })),
		{ prefix: "x-weir-" },
		{ exact: "x-forwarded-proto" },
	]);
	t.same(shown(ASSIGN_FILTER), shown(VERDICT_FILTER));
	t.same(shown(PROCESS_FILTER), [...shown(VERDICT_FILTER), { prefix: ":" }]);
	const few = new Map(httpFilters(build(neighbours(["asks"]))).map(({ name, typed_config }) => [name, typed_config]));
	const [own] = valuesUnder(few.get(VERDICT_FILTER), "allowed_headers");
	t.notMatch(JSON.stringify(own), /cookie|claim/, "cookies and claims only where one is a unit");
	t.match(JSON.stringify(filters.get(PROCESS_FILTER)?.metadata_options), new RegExp(`"${METADATA_NAMESPACE}"`));
});

t.test("in a full callout routes match the Variant's header, which clients and upstreams never see", async (t) => {
	const plan = build(neighbours());
	for (const name of ["cookie", "cookie-passes", "policies-cookie", "judged-cookie", "judged-apart-header"]) {
		const host = virtualHost(plan, name);
		t.same(host.request_headers_to_remove, [VARIANT_HEADER], name);
		t.equal(host.matcher, undefined);
		const named = routeName(plan.version, name, null);
		t.ok(
			host.routes?.every((route) => route.name === named),
			"a log entry's route name contains the plan and the Service",
		);
		t.same(
			host.routes?.map(({ match, route, direct_response }) => [
				match.headers?.map(({ name: header, ...matcher }) => [header, matcher]) ?? null,
				route?.cluster ?? direct_response?.status,
			]),
			[
				[[[VARIANT_HEADER, { string_match: { exact: "v1" } }]], `${name}/v1`],
				[[[VARIANT_HEADER, { string_match: { exact: "v2" } }]], `${name}/v2`],
				// A Variant of a newer plan was authorised only for itself.
				[[[VARIANT_HEADER, { present_match: true }]], 503],
				[null, `${name}/v1`],
			],
			name,
		);
		t.same(weightedClusters(host), []);
		const each = (value: unknown) => ["v1", "v2", "otherwise"].map(() => value);
		t.same(valuesUnder(host.routes, "timeout"), each("0s"), "each has the Service's timeout instead of Envoy's 15 s");
		const guarded = name.startsWith("policies") || name.startsWith("judged");
		const none = [{ upgrade_type: "websocket", enabled: false }];
		t.same(valuesUnder(host.routes, "upgrade_configs"), guarded ? each(none) : [], "and with no upgrade");
	}
	for (const name of [...NATIVE, "asks", "asks-header"]) {
		// The gate refuses a header that a client could have sent.
		const {
			typed_per_filter_config: { [GATE_FILTER]: _, ...others },
			...host
		} = virtualHost(plan, name);
		t.notOk(JSON.stringify([others, host]).includes(VARIANT_HEADER), name);
	}
	t.match(JSON.stringify(plan.envoy.listeners), /"remove_on_match":\{"key_matcher":\{"prefix":"x-weir-"/);
});

const DIGEST = "connection.sha256_peer_certificate_digest";
/** Users, the issuer's binding, attributes for ext_proc, and whether ext_authz sends the certificate. */
const SHOWN_OF_CALLERS = [
	[[], "mtls", [], false],
	[["*"], "none", ["source.address"], false],
	[["*"], "dpop", ["source.address", DIGEST], true],
	[["*"], "mtls", ["source.address", DIGEST], true],
	[["*"], "either", ["source.address", DIGEST], true],
] as const;

for (const [users, binding, attributes, certificate] of SHOWN_OF_CALLERS) {
	t.test(
		`users ${users.join() || "none"}, tokens bound by ${binding}: the sidecar gets only required attributes`,
		async (t) => {
			const set = neighbours(["asks"], [{ ...tokenIssuer("https://id.test", ["weir"], "/keys.json"), binding }]);
			const [policy] = set.accessPolicies;
			if (policy === undefined) throw new Error("no policy");
			const judging = { ...set, accessPolicies: [{ ...policy, spec: { ...policy.spec, users } }] };
			const configOfFilter = (protocol: "ext_authz" | "ext_proc", name: string) =>
				httpFilters(build(judging, { protocol, mode: "callout" })).find((filter) => filter.name === name)?.typed_config;
			const asked = configOfFilter("ext_proc", PROCESS_FILTER);
			t.same(asked?.request_attributes, ["connection.uri_san_peer_certificate", ...attributes]);
			t.same(asked?.processing_mode, { request_header_mode: "SEND", response_header_mode: "SKIP" });
			t.equal(configOfFilter("ext_authz", VERDICT_FILTER)?.include_peer_certificate, certificate ? true : undefined);
		},
	);
}
