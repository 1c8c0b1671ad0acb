/** Contents of the Istio manifests, and refusals; test/components/meshSchemas.test.ts checks that they are valid. */
import t from "tap";
import { istioManifests } from "../../../src/compile/mesh/istio.js";
import type { Manifest, MeshOptions, MeshOutput } from "../../../src/compile/mesh/mesh.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import { validateBootstrap } from "../../envoy/harness.js";
import { accessPolicy, CALLOUT, experiment, gateway, service } from "../../fixtures/resources.js";
import { at, CASES, ISSUER, messages, OPTIONS, one, onPort, PROTOCOLS, V1, V2 } from "./cases.js";
import { golden } from "./golden.js";
import { istioBootstrap } from "./istioGateway.js";

const build = (resources: ResourceSet, options: Partial<MeshOptions> = {}): MeshOutput =>
	istioManifests(resources, { ...OPTIONS, protocol: "ext_authz", ...options });

const ofKind = (output: MeshOutput, kind: string): readonly Manifest[] =>
	output.manifests.filter((manifest) => manifest.kind === kind);

for (const protocol of PROTOCOLS) {
	t.test(`the manifests of one Service, ${protocol}`, async (t) => {
		const output = build(one(), { protocol });
		t.same(output.problems, []);
		t.same(output, await golden(`istio-${protocol}.json`, output));
	});
}

t.test("a real Envoy accepts every filter that is patched in", async (t) => {
	for (const { name, resources, options, istioRefuses } of CASES) {
		for (const protocol of PROTOCOLS) {
			const output = istioManifests(resources, { ...options, protocol });
			const refused = istioRefuses === "always" || istioRefuses === protocol;
			t.equal(output.problems.length > 0, refused, `${protocol}: ${name}: ${messages(output)}`);
			if (refused) continue;
			const bootstrap = istioBootstrap({
				output,
				tls: null,
				adminSocket: "/tmp/weir-admin.sock",
				sidecarSocket: "/tmp/weir-sidecar.sock",
				port: () => 8080,
			});
			t.equal(await validateBootstrap(bootstrap), null, `${protocol}: ${name}`);
		}
	}
});

t.test("a Gateway with identity from an agent is refused, with a hint on what to change", async (t) => {
	const mesh = one({}, { gateways: [gateway({ tls: { from: "identity" } })] });
	const said = (options: Partial<MeshOptions>) =>
		build(mesh, options).problems.map(({ message, hint }) => [message, hint]);
	t.match(said({ gateway: null }), [[/it would listen in plain text$/, /or an existing gateway with --gateway$/]]);
	t.match(said({ gateway: "ns/gw" }), [[/does not use$/, /^leave tls out of it: the gateway that --gateway names/]]);
});

t.test("the provider's timeout is reported, and is the longest of all Services", async (t) => {
	const callout = (timeoutMs: number) => ({ ...CALLOUT, timeoutMs });
	const services = [
		service("a", [V1, V2], { callout: callout(50) }),
		service("b", [V1, V2], { callout: callout(300) }),
	];
	const experiments = ["a", "b"].map((name) => experiment(`e-${name}`, name, [1, 1]));
	const output = build(one({}, { services, experiments }));
	t.match(output.fragments, [
		{
			value: {
				extensionProviders: [{ envoyExtAuthzGrpc: { timeout: "0.3s", failOpen: false, statusOnError: "503" } }],
			},
		},
	]);
	t.match(output.warnings.join("\n"), /600 s/);
	t.match(output.warnings.join("\n"), /longest holds for all/);
});

t.test("a Service in callout has no route without the sidecar's answer; another has its plain route", async (t) => {
	const services = [
		service("asked", [V1, V2], { access: null, hosts: ["asked.example"] }),
		service("plain", [V1], { hosts: ["plain.example"] }),
	];
	const accessPolicies = [accessPolicy("p", "allow", ["asked"], { principals: ["spiffe://weir.test/a"] })];
	const output = build(one({}, { services, experiments: [], accessPolicies }));
	const [asked, plain] = ofKind(output, "VirtualService").map(
		({ spec }) => spec as { readonly http: readonly object[] },
	);
	t.match(asked?.http, [
		{ match: [{ headers: { "x-weir-variant": { exact: "v1" } } }] },
		{ match: [{ headers: { "x-weir-variant": { exact: "v2" } } }] },
		{ directResponse: { status: 503 } },
	]);
	t.notOk(asked?.http.some((route) => !("match" in route) && "route" in route));
	t.match(plain?.http, [{ route: [{ destination: { host: V1.endpoints[0]?.address } }] }]);
	t.same(
		ofKind(output, "AuthorizationPolicy").map(({ spec }) => (spec as { readonly rules: unknown }).rules),
		[[{ to: [{ operation: { hosts: ["asked.example", "asked.example:*"] } }] }]],
		"only the asked Service is asked about, with any port",
	);
});

t.test("a wildcard host with a port cannot be matched, so every request is sent to the sidecar", async (t) => {
	const output = build(one({ hosts: ["api.example", "*.api.example"] }));
	t.match(ofKind(output, "AuthorizationPolicy"), [{ metadata: { name: "weir-all" }, spec: { rules: [{}] } }]);
	t.match(output.warnings.join("\n"), /wildcard host/);
});

t.test("routes come last, so that no host is reachable before it is guarded", async (t) => {
	for (const { resources, options } of CASES) {
		for (const protocol of PROTOCOLS) {
			const kinds = istioManifests(resources, { ...options, protocol }).manifests.map(({ kind }) => kind);
			const first = kinds.indexOf("VirtualService");
			t.ok(
				kinds.slice(first).every((kind) => kind === "VirtualService"),
				kinds.join(),
			);
		}
	}
});

t.test("Istio's own defaults are not used", async (t) => {
	t.match(
		ofKind(build(one()), "VirtualService"),
		[{ spec: { http: [{ retries: { attempts: 0 } }, { retries: { attempts: 0 } }] } }],
		"no retries where none are declared",
	);
	const rule = build(
		one({
			outlierDetection: { consecutive5xx: 5, intervalMs: 1_000, baseEjectionTimeMs: 1_000, maxEjectionPercent: 50 },
		}),
	);
	t.match(
		ofKind(rule, "DestinationRule").at(-1)?.spec,
		{ trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: false } } } },
		"outlier detection does not fail over to another locality",
	);
});

t.test("the ext_proc filter stands before authorisation, and after tokens where claims are needed", async (t) => {
	const claim = { from: "claim", claim: "sub" } as const;
	const place = (output: MeshOutput) => {
		const filter = ofKind(output, "EnvoyFilter").find(({ metadata }) => metadata.name === "weir-ext-proc");
		const { configPatches = [] } = (filter?.spec ?? {}) as { readonly configPatches?: readonly object[] };
		return configPatches[0];
	};
	t.match(place(build(one(), { protocol: "ext_proc" })), { patch: { operation: "INSERT_FIRST" } });
	const claims = one(
		{},
		{
			gateways: [onPort({ tokens: [ISSUER] })],
			experiments: [experiment("e", "employment", [1, 1], { unit: claim })],
		},
	);
	const output = build(claims, { protocol: "ext_proc" });
	t.match(place(output), {
		match: { listener: { filterChain: { filter: { subFilter: { name: "envoy.filters.http.jwt_authn" } } } } },
		patch: { operation: "INSERT_AFTER" },
	});
	t.match(ofKind(output, "RequestAuthentication"), [
		{ spec: { jwtRules: [{ outputClaimToHeaders: [{ header: "x-weir-claim-sub", claim: "sub" }] }] } },
	]);
	t.match(messages(build(claims)), /before it verifies tokens/, "ext_authz would never see a claim");
});

t.test("settings that Istio cannot implement are refused", async (t) => {
	const refused = (resources: ResourceSet, options: Partial<MeshOptions> = {}) => messages(build(resources, options));
	const passing = { callout: { ...CALLOUT, onFailure: "default-variant" as const } };
	t.match(refused(one(passing)), /one filter for all Services/);
	const policies = { accessPolicies: [accessPolicy("p", "deny", ["employment"])] };
	t.match(refused(one({ ...passing, access: null }, policies)), /served unjudged when the sidecar fails/);
	const variants = (address: string) => one({}, { services: [service("employment", [at("v1", address), V2])] });
	t.match(refused(variants("127.0.0.1")), /the gateway's own pod/);
	t.match(refused(variants("localhost")), /the gateway's own pod/);
	t.match(refused(variants("::1")), /the gateway's own pod/);
	t.match(refused(variants("backend")), /a short name/);
	t.same(refused(variants("203.0.113.7")), "");
	const claim = { experiments: [experiment("e", "employment", [1, 1], { unit: { from: "claim", claim: "sub" } })] };
	t.match(refused(one({}, claim)), /no Gateway declares token issuers/);
	const bound = { ...claim, gateways: [onPort({ tokens: [{ ...ISSUER, binding: "mtls" }] })] };
	t.match(refused(one({}, bound), { protocol: "ext_proc" }), /takes tokens of .* without their proof of possession/);
	const users = { ...bound, accessPolicies: [accessPolicy("p", "allow", ["employment"], { users: ["*"] })] };
	t.notMatch(refused(one({ access: null }, users), { protocol: "ext_proc" }), /proof of possession/);
	t.match(
		refused(one({}, { ...claim, gateways: [onPort({ tokens: [ISSUER] })] }), { keySets: {}, protocol: "ext_proc" }),
		/keys of one of its issuers were not read/,
	);
	for (const keys of [
		'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
		'{"keys":[{"kty":"EC","d":"x"}]}',
		'{"keys":[]}',
		"{",
	]) {
		const keySets = { [ISSUER.issuer]: keys };
		const tokens = one({}, { ...claim, gateways: [onPort({ tokens: [ISSUER] })] });
		t.match(
			refused(tokens, { keySets, protocol: "ext_proc" }),
			/not a set of public keys/,
			"no secret gets into a manifest",
		);
	}
	t.match(refused(one(), { sidecar: { host: "sidecar.example.net", port: 9191 } }), /is not a Kubernetes Service/);
	t.match(refused(one(), { sidecar: { socketPath: "run/sidecar.sock" } }), /not an absolute path/);
	t.match(refused(one({}, { gateways: [gateway()] })), /any free port/);
	t.match(refused(one({}, { gateways: [] })), /no Gateway is declared/);
	t.same(refused(one({}, { gateways: [] }), { gateway: "istio-system/public" }), "");
	const clash = {
		services: [service("a", [at("b-c", "x.y.svc")], {}), service("a-b", [at("c", "203.0.113.7")], {})],
		experiments: [],
	};
	t.same(refused(one({}, clash)), "", "a Kubernetes Service needs no entry, so there is no clash");
	const clashing = {
		...clash,
		services: [service("a", [at("b-c", "203.0.113.8")]), service("a-b", [at("c", "203.0.113.7")])],
	};
	t.match(refused(one({}, clashing)), /the same ServiceEntry weir\/weir-a-b-c/);
});

t.test("the unit is nowhere in the manifests, and the keys only where tokens are verified", async (t) => {
	const text = JSON.stringify(build(one(), { keySets: { [ISSUER.issuer]: "the-keys" } }));
	t.notMatch(text, /the-keys/);
});
