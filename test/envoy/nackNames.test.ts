/**
 * Names in the NACKs of each Envoy: the corpus for src/publish/xds/isolation.ts. Each row breaks a resource of apps/broken.
 * All three Envoys name or isolate a broken cluster, endpoint list, listener or filter. A broken route configuration is
 * refused whole, and named in 1 of 17 rows (a duplicate domain).
 */
import { join } from "node:path";
import t, { type Test } from "tap";
import { NO_COLLECTORS } from "../../src/compile/compile.js";
import { dynamicBootstrap } from "../../src/compile/envoy/bootstrap.js";
import type { EnvoyResources } from "../../src/compile/plan/compiledPlan.js";
import { mentions } from "../../src/publish/xds/rejection.js";
import { XdsServer } from "../../src/publish/xds/server.js";
import { temporaryDirectory } from "../cli/command.js";
import { published, tinyPlan } from "../publish/xds/tinyPlan.js";
import { startEnvoy } from "./harness.js";

const VERSIONS = ["1.36.2", "1.38.3", "1.40.0"];
const SERVICE = "apps/broken";
const HOST = "broken.test";

/** What Envoy's error message names of the Service. */
type Named = "cluster" | "host" | "nothing" | "the Gateway";

// biome-ignore lint/suspicious/noExplicitAny: a part of proto3 JSON, which the rows damage
type Json = Record<string, any>;

interface Row {
	readonly fault: string;
	readonly names: Named;
	readonly spoil: (resource: Json) => void;
}

const row = (fault: string, names: Named, spoil: Row["spoil"]): Row => ({ fault, names, spoil });
const type = (name: string) => ({ "@type": `type.googleapis.com/${name}` });

const host = (table: Json): Json => table.virtual_hosts[1];
const routeOf = (table: Json): Json => host(table).routes[0];
const adds = (key: string, value: string) => (table: Json) => {
	host(table).request_headers_to_add = [{ header: { key, value } }];
};
const matches = (regex: string) => (table: Json) => {
	routeOf(table).match.headers = [{ name: "x", string_match: { safe_regex: { regex } } }];
};
const perHost = (filter: string, config: Json) => (table: Json) => {
	host(table).typed_per_filter_config = { [filter]: config };
};
const rbac = (permission: Json, more: Json = {}) =>
	perHost("envoy.filters.http.rbac", {
		...type("envoy.extensions.filters.http.rbac.v3.RBACPerRoute"),
		rbac: { rules: { policies: { one: { permissions: [permission], principals: [{ any: true }], ...more } } } },
	});
const tls = (context: "Upstream" | "Downstream", common: Json): Json => ({
	name: "envoy.transport_sockets.tls",
	typed_config: {
		...type(`envoy.extensions.transport_sockets.tls.v3.${context}TlsContext`),
		common_tls_context: common,
	},
});
const NO_PEM = {
	tls_certificates: [{ certificate_chain: { inline_string: "x" }, private_key: { inline_string: "y" } }],
};

const ROWS: Readonly<Record<keyof EnvoyResources, readonly Row[]>> = {
	routes: [
		row("a regex that does not parse", "nothing", matches("*")),
		row("weights that sum to 0", "nothing", (table) => {
			routeOf(table).route.weighted_clusters.clusters[0].weight = 0;
		}),
		row("weights beyond uint32", "nothing", (table) => {
			const { clusters } = routeOf(table).route.weighted_clusters;
			clusters.push({ ...clusters[0], weight: 4_294_967_295 });
		}),
		row("a duplicate domain", "host", (table) => host(table).domains.push(HOST)),
		row("no domain", "nothing", (table) => {
			host(table).domains = [];
		}),
		row("a route without a path", "nothing", (table) => {
			routeOf(table).match = {};
		}),
		row("a path regex that does not parse", "nothing", (table) => {
			routeOf(table).match = { safe_regex: { regex: "(" } };
		}),
		row("a direct response beyond 4 KiB", "nothing", (table) => {
			host(table).routes = [
				{ match: { prefix: "/" }, direct_response: { status: 503, body: { inline_string: "x".repeat(5_000) } } },
			];
		}),
		row("a header that may not be added", "nothing", adds(":path", "x")),
		row("a header name that is none", "nothing", adds("x y\n", "x")),
		row("an unknown format", "nothing", adds("x", "%NO_SUCH_THING%")),
		row("retries with a wrong pause", "nothing", (table) => {
			const retry_back_off = { base_interval: "2s", max_interval: "1s" };
			routeOf(table).route.retry_policy = { retry_on: "5xx", retry_back_off };
		}),
		row("RBAC with a bad path regex", "nothing", rbac({ url_path: { path: { safe_regex: { regex: "(" } } } })),
		row(
			"RBAC with a CEL function that is unknown",
			"nothing",
			rbac(
				{ any: true },
				{
					condition: {
						id: "1",
						call_expr: { function: "no_such", args: [{ id: "2", const_expr: { bool_value: true } }] },
					},
				},
			),
		),
		row("RBAC without a permission", "nothing", rbac({}, { permissions: [] })),
		row(
			"a rate limit that fills too fast",
			"nothing",
			perHost("envoy.filters.http.local_ratelimit", {
				...type("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
				...{ stat_prefix: "x", token_bucket: { max_tokens: 1, fill_interval: "0.001s" } },
			}),
		),
		row(
			"a filter that has no configuration for a host",
			"nothing",
			perHost("envoy.filters.http.router", type("envoy.extensions.filters.http.router.v3.Router")),
		),
	],
	clusters: [
		row("an unknown transport socket", "cluster", (cluster) => {
			cluster.transport_socket = { name: "no.such.socket" };
		}),
		row("a CA that is no PEM", "cluster", (cluster) => {
			cluster.transport_socket = tls("Upstream", { validation_context: { trusted_ca: { inline_string: "x" } } });
		}),
		row("an unknown secret", "cluster", (cluster) => {
			cluster.transport_socket = tls("Upstream", { tls_certificate_sds_secret_configs: [{ name: "no-such" }] });
		}),
		row("a health check without a timeout", "cluster", (cluster) => {
			const check = { interval: "1s", unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: { path: "/" } };
			cluster.health_checks = [check];
		}),
		row("a connect timeout of 0", "cluster", (cluster) => {
			cluster.connect_timeout = "0s";
		}),
	],
	endpoints: [
		row("a DNS name as an address", "nothing", ({ endpoints }) => {
			endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address = "pods.test";
		}),
		row("an endpoint of weight 0", "cluster", ({ endpoints }) => {
			endpoints[0].lb_endpoints[0].load_balancing_weight = 0;
		}),
	],
	listeners: [
		row("an unknown filter", "the Gateway", ({ filter_chains }) => {
			filter_chains[0].filters[0].typed_config.http_filters.unshift({ name: "no.such" });
		}),
		row("a certificate that is no PEM", "the Gateway", ({ filter_chains }) => {
			filter_chains[0].transport_socket = tls("Downstream", NO_PEM);
		}),
	],
	extensions: [
		row("a key set that is missing", "the Gateway", ({ typed_config }) => {
			typed_config.providers.issuer = { issuer: "i" };
		}),
	],
};

const good = (claimHeaders?: readonly string[]): EnvoyResources =>
	tinyPlan({
		gatewayPort: 0,
		services: {
			"apps/first": { host: "first.test", variants: { v1: 1001 }, weights: { v1: 1 } },
			[SERVICE]: { host: HOST, variants: { v1: 2001 }, weights: { v1: 1 } },
			"other/last": { host: "last.test", variants: { v1: 3001 }, weights: { v1: 1 } },
		},
		...(claimHeaders === undefined ? {} : { claimHeaders }),
	});

function spoiled(of: keyof EnvoyResources, spoil: Row["spoil"]): EnvoyResources {
	const plan = structuredClone(good(of === "extensions" ? [] : undefined));
	const list: readonly Json[] = plan[of];
	const resource = list.find(({ name, cluster_name }) => (name ?? cluster_name) === `${SERVICE}/v1`) ?? list[0];
	if (resource === undefined) throw new Error(`no ${of}`);
	spoil(resource);
	return plan;
}

function namedIn(words: string, of: string): Named {
	if (mentions(words, `${SERVICE}/v1`)) return "cluster";
	if (mentions(words, HOST)) return "host";
	t.notOk(mentions(words, "apps/first"), "no other namespace's declaration is printed");
	return of === "listeners" || of === "extensions" ? "the Gateway" : "nothing";
}

for (const version of VERSIONS)
	t.test(`Envoy ${version} names the broken resource of a NACK as listed`, async (t: Test) => {
		const socketPath = join(await temporaryDirectory(t), "ads.sock");
		const server = new XdsServer();
		t.teardown(() => server.close());
		await server.listen({ socketPath });
		let revision = 0;
		const publish = (envoy: EnvoyResources): Promise<null> => {
			const wanted = ++revision;
			const acknowledged = new Promise<null>((resolve) =>
				server.onAcknowledged((one) => one === wanted && resolve(null)),
			);
			server.publish(published(envoy), wanted);
			return acknowledged;
		};
		const refused = (): Promise<{ readonly error: string; readonly source: string }> =>
			new Promise((resolve) => {
				const stop = server.onProxiesChanged(() => {
					const found = Object.values(server.proxies()[0]?.types ?? {}).find(({ state }) => state === "ERROR");
					if (found === undefined) return;
					stop();
					resolve(found);
				});
			});
		const first = publish(good());
		const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1" };
		await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }), { version });
		await first;
		for (const [of, rows] of Object.entries(ROWS) as [keyof EnvoyResources, readonly Row[]][])
			for (const { fault, names, spoil } of rows) {
				const answer = refused();
				const taken = publish(spoiled(of, spoil));
				const rejection = await Promise.race([answer, taken]);
				if (rejection === null) t.fail(`${of}, ${fault}: it was not refused`);
				else {
					t.equal(namedIn(rejection.error, of), names, `${of}, ${fault}: ${rejection.error}`);
					t.equal(rejection.source, of === "listeners" || of === "extensions" ? "Gateway edge" : `Service ${SERVICE}`);
				}
				await publish(good());
			}
	});
