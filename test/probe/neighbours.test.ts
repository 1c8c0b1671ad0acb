/** A bypass beside requests that are judged, on a real Envoy: what others are judged for excuses nobody. */
import t from "tap";
import { attackScene } from "../attack/scene.js";
import { exchange, get } from "../attack/wire.js";
import { prober, traffic } from "./probed.js";

interface VirtualHost {
	readonly name: string;
	readonly routes: readonly object[];
	readonly typed_per_filter_config: Readonly<Record<string, object>>;
}

/** The bootstrap with this Service's virtual host changed. */
const withHost =
	(name: string, changed: (host: VirtualHost) => object) =>
	(bootstrap: object): object =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) =>
			key === "virtual_hosts"
				? (value as readonly VirtualHost[]).map((host) => (host.name === name ? changed(host) : host))
				: value,
		);

const SWITCHES: Readonly<Record<string, readonly [judge: "envoy" | "sidecar", off: Readonly<Record<string, object>>]>> =
	(() => {
		const RBAC_OFF = { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute" };
		const OFF = { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true };
		const gate = { "weir.gate": RBAC_OFF };
		return {
			native: ["envoy", { ...gate, "weir.deny": RBAC_OFF, "weir.allow": RBAC_OFF }],
			ext_authz: ["sidecar", { ...gate, "weir.verdict": OFF, "weir.proof": RBAC_OFF }],
			ext_proc: ["sidecar", { ...gate, "weir.process": OFF, "weir.proof": RBAC_OFF }],
		};
	})();

for (const [form, [judgedBy, off]] of Object.entries(SWITCHES)) {
	t.test(`${form}: one route of a Service has no filters, and its others and its neighbour are judged`, async (t) => {
		const bypassed = ({ routes, ...host }: VirtualHost) => ({
			...host,
			routes: [{ ...routes[0], match: { prefix: "/v2/secret" }, typed_per_filter_config: off }, ...routes],
		});
		const scene = await attackScene(t, form, undefined, withHost("guarded", bypassed));
		const own = await prober(scene);
		t.same((await own.round()).alarms, [], "the probes are refused");
		const ask = async (path: string) => (await exchange(await scene.as("alice"), get("guarded.test", path))).statuses;
		t.same(await traffic(scene), [200, 200, 200]);
		t.same((await own.round()).alarms, [], "nobody has gone there");
		t.same([await ask("/v2/secret"), await ask("/v2"), await traffic(scene)].flat(), [200, 200, 200, 200, 200]);
		t.match((await own.round()).alarms, [
			{ alarm: "served-unjudged", judgedBy, services: ["guarded", "wide"], served: 1 },
		]);
	});
}

t.test("native: the filter that allows is off at one Service, and its neighbour is judged", async (t) => {
	const off = { "weir.allow": SWITCHES.native?.[1]["weir.allow"] };
	const change = withHost("guarded", (host) => ({
		...host,
		typed_per_filter_config: { ...host.typed_per_filter_config, ...off },
	}));
	const scene = await attackScene(t, "native", undefined, change);
	const own = await prober(scene);
	t.same((await own.round()).alarms, [], "the probes are still refused");
	t.same(await traffic(scene), [200, 200, 200]);
	t.match((await own.round()).alarms, [{ alarm: "served-unjudged", judgedBy: "envoy", served: 1 }]);
});

t.test("native: not one of many requests is taken for unjudged while counters are read", async (t) => {
	const scene = await attackScene(t, "native");
	const own = await prober(scene);
	let asked = 0;
	let isOver = false;
	const clients = Array.from({ length: 8 }, async () => {
		for (; !isOver; asked++) await exchange(await scene.as("alice"), get("guarded.test", "/v2"));
	});
	for (let round = 0; round < 8; round++) t.same((await own.round()).alarms, []);
	isOver = true;
	await Promise.all(clients);
	t.ok(asked > 100, String(asked));
});

const CONNECTION_MANAGER =
	"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/** A listener by somebody's hand, to a Service's cluster without a filter. */
const handWritten = (cluster: string): object => ({
	name: "mine",
	address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
	filter_chains: [
		{
			filters: [
				{
					name: "http",
					typed_config: {
						"@type": CONNECTION_MANAGER,
						stat_prefix: "mine",
						route_config: {
							virtual_hosts: [{ name: "x", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] }],
						},
						http_filters: [{ name: "envoy.filters.http.router", typed_config: { "@type": ROUTER } }],
					},
				},
			],
		},
	],
});

t.test("native: who comes by a listener of nobody's, while the Gateway is in use", async (t) => {
	const scene = await attackScene(t, "native", undefined, (bootstrap) =>
		JSON.parse(JSON.stringify(bootstrap), (key, value) =>
			key === "listeners" ? [...value, handWritten("guarded/v1")] : value,
		),
	);
	const own = await prober(scene);
	await own.round();
	t.same(await traffic(scene), [200, 200, 200]);
	t.same((await own.round()).alarms, [], "nobody has come by it");
	t.equal((await fetch(`http://127.0.0.1:${scene.envoy.port("mine")}/v2`)).status, 200);
	t.same(await traffic(scene), [200, 200, 200]);
	const alarm = { alarm: "served-past-gateways", gateway: "", service: "guarded", served: 1 };
	t.same((await own.round()).alarms, [alarm]);
	t.same((await own.round()).alarms, [alarm], "in silence it stands");
	t.same(await traffic(scene), [200, 200, 200]);
	t.same((await own.round()).alarms, [], "and ends with use of the Gateway alone");
});

t.test("native: a route of the Gateway's that is not Weir's", async (t) => {
	const bypassed = ({ routes, ...host }: VirtualHost) => ({
		...host,
		routes: [
			{
				match: { prefix: "/v2/secret" },
				route: { cluster: "guarded/v1" },
				typed_per_filter_config: SWITCHES.native?.[1],
			},
			...routes,
		],
	});
	const scene = await attackScene(t, "native", undefined, withHost("guarded", bypassed));
	const own = await prober(scene);
	await own.round();
	t.same((await exchange(await scene.as("alice"), get("guarded.test", "/v2/secret"))).statuses, [200]);
	t.same(await traffic(scene), [200, 200, 200]);
	t.match((await own.round()).alarms, [{ alarm: "served-past-gateways", service: "guarded", served: 1 }]);
});
