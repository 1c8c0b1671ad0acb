/** Contents of the Envoy Gateway manifests, and refusals; test/components checks that they are valid. */
import t from "tap";
import { envoyGatewayManifests } from "../../../src/compile/mesh/envoyGateway.js";
import { gatewayDuration } from "../../../src/compile/mesh/gatewayDuration.js";
import type { MeshOptions, MeshOutput } from "../../../src/compile/mesh/mesh.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import { accessPolicy, CALLOUT, experiment, service } from "../../fixtures/resources.js";
import { at, CASES, ISSUER, messages, OPTIONS, one, onPort, PROTOCOLS, V1, V2 } from "./cases.js";
import { golden } from "./golden.js";

const build = (resources: ResourceSet, options: Partial<MeshOptions> = {}): MeshOutput =>
	envoyGatewayManifests(resources, { ...OPTIONS, protocol: "ext_authz", ...options });

const specsOf = (output: MeshOutput, kind: string): readonly unknown[] =>
	output.manifests.filter((manifest) => manifest.kind === kind).map(({ spec }) => spec);

for (const protocol of PROTOCOLS) {
	t.test(`the manifests of one Service, ${protocol}`, async (t) => {
		const output = build(one(), { protocol });
		t.same(output.problems, []);
		t.same(output, await golden(`envoy-gateway-${protocol}.json`, output));
	});
}

t.test("only declarations that Envoy Gateway cannot implement are refused", async (t) => {
	for (const { name, resources, options, envoyGatewayRefuses } of CASES) {
		for (const protocol of PROTOCOLS) {
			const output = envoyGatewayManifests(resources, { ...options, protocol });
			t.equal(
				output.problems.length > 0,
				envoyGatewayRefuses === protocol,
				`${protocol}: ${name}: ${messages(output)}`,
			);
		}
	}
});

t.test("each Service has its own timeout and failure mode; a callout with a verdict fails closed", async (t) => {
	const services = [
		service("open", [V1, V2], { callout: { ...CALLOUT, timeoutMs: 50, onFailure: "default-variant" } }),
		service("judged", [V1, V2], { access: null, callout: { ...CALLOUT, timeoutMs: 300 } }),
	];
	const experiments = ["open", "judged"].map((name) => experiment(`e-${name}`, name, [1, 1]));
	const accessPolicies = [accessPolicy("p", "allow", ["judged"], { principals: ["spiffe://weir.test/a"] })];
	const resources = one({}, { services, experiments, accessPolicies });
	const authz = build(resources);
	t.same(authz.problems, []);
	t.match(specsOf(authz, "SecurityPolicy"), [
		{ extAuth: { timeout: "50ms", failOpen: true, recomputeRoute: true, statusOnError: 503 } },
		{ extAuth: { timeout: "300ms", failOpen: false, recomputeRoute: true, statusOnError: 503 } },
	]);
	t.match(specsOf(build(resources, { protocol: "ext_proc" }), "EnvoyExtensionPolicy"), [
		{ extProc: [{ messageTimeout: "50ms", failOpen: true, statusOnError: 503 }] },
		{
			extProc: [
				{
					messageTimeout: "300ms",
					failOpen: false,
					metadata: { writableNamespaces: ["weir"] },
					backendSettings: { circuitBreaker: { maxRequestsPerConnection: 900 } },
				},
			],
		},
	]);
	const last = (route: unknown) => (route as { readonly rules: readonly object[] }).rules.at(-1);
	const [open, judged] = specsOf(authz, "HTTPRoute").map(last);
	t.match(open, { backendRefs: [{ name: "employment-v1" }] }, "the default Variant serves the open one unanswered");
	t.match(judged, { filters: [{ extensionRef: { kind: "HTTPRouteFilter", name: "weir-closed" } }] });
	t.notOk("backendRefs" in (judged ?? {}));

	const unjudged = one(
		{},
		{
			services: services.map((s) => ({ ...s, spec: { ...s.spec, callout: services[0]?.spec.callout ?? CALLOUT } })),
			accessPolicies,
		},
	);
	t.match(messages(build(unjudged)), /Service judged would be served unjudged/);
});

t.test("clients' x-weir- headers are removed before routing, for any gateway", async (t) => {
	for (const gateway of [null, "ingress/public"]) {
		const output = build(one(), { gateway });
		const policy = output.manifests.find(({ kind }) => kind === "ClientTrafficPolicy");
		t.match(policy?.spec, {
			headers: {
				earlyRequestHeaders: {
					removeOnMatch: ["x-weir-", "x_weir_", "x_weir-", "x-weir_"].map((value) => ({ type: "Prefix", value })),
				},
			},
		});
		t.equal(policy?.metadata.namespace, gateway === null ? "weir" : "ingress", "beside its gateway");
		t.equal(specsOf(output, "Gateway").length, gateway === null ? 1 : 0);
	}
});

t.test("a claim is verified and put into our header before the callout", async (t) => {
	const claims = one(
		{},
		{
			gateways: [onPort({ tokens: [ISSUER] })],
			experiments: [experiment("e", "employment", [1, 1], { unit: { from: "claim", claim: "sub" } })],
		},
	);
	const output = build(claims);
	t.match(specsOf(output, "SecurityPolicy"), [
		{ jwt: { failOpen: true, providers: [{ claimToHeaders: [{ header: "x-weir-claim-sub", claim: "sub" }] }] } },
	]);
	t.match(specsOf(output, "EnvoyProxy"), [
		{ filterOrder: [{ name: "envoy.filters.http.ext_authz", after: "envoy.filters.http.jwt_authn" }] },
	]);
	t.match(specsOf(output, "Gateway"), [{ infrastructure: { parametersRef: { kind: "EnvoyProxy", name: "weir" } } }]);
	t.match(messages(build(claims, { gateway: "public" })), /before it verifies tokens/);
	const proc = build(claims, { gateway: "public", protocol: "ext_proc" });
	t.same(proc.problems, []);
	t.same(specsOf(proc, "EnvoyProxy"), [], "ext_proc comes after tokens by itself");
});

t.test("Services of other namespaces need a ReferenceGrant", async (t) => {
	const output = build(one(), { sidecar: { host: "sidecar.platform.svc", port: 9191 } });
	t.match(
		output.manifests.filter(({ kind }) => kind === "ReferenceGrant"),
		[
			{
				metadata: { namespace: "models" },
				spec: {
					from: [{ kind: "HTTPRoute", namespace: "weir" }],
					to: [{ name: "employment-v1" }, { name: "employment-v2" }],
				},
			},
			{
				metadata: { namespace: "platform" },
				spec: { from: [{ kind: "SecurityPolicy", namespace: "weir" }], to: [{ name: "sidecar" }] },
			},
		],
	);
});

t.test("Envoy's own defaults are not used", async (t) => {
	const output = build(one());
	const [route] = specsOf(output, "HTTPRoute") as [{ readonly rules: readonly object[] }];
	t.match(route.rules[0], { timeouts: { request: "0s" } }, "not 15 s");
	t.match(specsOf(output, "BackendTrafficPolicy"), [{ circuitBreaker: { maxParallelRequests: 4_294_967_295 } }]);
});

t.test("settings that do not fit an HTTPRoute are refused or reported", async (t) => {
	const many = (count: number) =>
		Array.from({ length: count }, (_, index) => at(`v${index + 1}`, `v${index}.models.svc`));
	t.match(messages(build(one({ variants: many(16) }))), /rules for 15/);
	t.same(messages(build(one({ variants: many(15) }))), "");
	const hosts = Array.from({ length: 17 }, (_, index) => `h${index}.example`);
	t.match(messages(build(one({ hosts }))), /17 hosts/);
	t.match(messages(build(one({ hosts: ["203.0.113.7"] }))), /no host that an HTTPRoute can name/);
	const mixed = build(one({ hosts: ["employment.example", "203.0.113.7"] }));
	t.same(mixed.problems, []);
	t.match(mixed.warnings.join("\n"), /not reachable as 203\.0\.113\.7/);
	t.match(
		build(one({ retries: { attempts: 1, on: ["reset", "envoy-ratelimited"], perTryTimeoutMs: 0 } })).warnings.join(
			"\n",
		),
		/retries on envoy-ratelimited/,
	);
	const healthCheck = { path: "/health", intervalMs: 500, timeoutMs: 100, healthyThreshold: 1, unhealthyThreshold: 1 };
	t.match(
		build(one({ healthCheck })).warnings.join("\n"),
		/until its first request Envoy asks every 60 s, not every 0\.5 s/,
	);
	t.notMatch(build(one()).warnings.join("\n"), /60 s/);
});

t.test("durations have the format of the Gateway API", async (t) => {
	for (const [milliseconds, text] of [
		[0, "0s"],
		[200, "200ms"],
		[1_500, "1s500ms"],
		[90_500, "1m30s500ms"],
		[14 * 86_400_000, "336h"],
	] as const) {
		t.equal(gatewayDuration(milliseconds), text);
		t.match(gatewayDuration(milliseconds), /^([0-9]{1,5}(h|m|s|ms)){1,4}$/);
	}
	t.match(gatewayDuration(Number.MAX_SAFE_INTEGER), /^([0-9]{1,5}(h|m|s|ms)){1,4}$/);
});
