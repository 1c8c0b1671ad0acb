/** In other meshes no access rule is lost silently: the sidecar has it, or it is a problem or a warning. */
import t from "tap";
import { envoyGatewayManifests } from "../../../../src/compile/mesh/envoyGateway.js";
import { istioManifests } from "../../../../src/compile/mesh/istio.js";
import { ENVOY_GATEWAY_CLASS, ISTIO_GATEWAY_LABELS, type MeshOptions } from "../../../../src/compile/mesh/mesh.js";
import type {
	AccessPolicy,
	Gateway,
	GatewayTls,
	ResourceSet,
	Service,
} from "../../../../src/declare/resources/resource.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service } from "../../../fixtures/resources.js";
import { valuesUnder } from "../virtualHosts.js";

const OPTIONS: MeshOptions = {
	protocol: "ext_authz",
	sidecar: { socketPath: "/run/weir/sidecar.sock" },
	namespace: "mesh",
	gateway: null,
	gatewayLabels: ISTIO_GATEWAY_LABELS,
	gatewayClass: ENVOY_GATEWAY_CLASS,
	keySets: {},
};
const MESHES = { istio: istioManifests, envoyGateway: envoyGatewayManifests };
const at = { address: "s.prod.svc.cluster.local", port: 80, locality: null };

function set(
	policies: readonly AccessPolicy[],
	fields: Partial<Service["spec"]> = {},
	tls: GatewayTls | null = null,
): ResourceSet {
	const variants = [{ name: "v1", endpoints: [at] }];
	return resourceSet({
		gateways: [gateway({ port: 8080, tls })],
		services: [service("s", variants, { access: null, ...fields })],
		accessPolicies: policies,
	});
}

for (const [name, manifestsOf] of Object.entries(MESHES)) {
	t.test(`${name}: every condition needs the sidecar's verdict, and a route without it leads nowhere`, async (t) => {
		for (const fields of [
			{ users: ["https://id.test#a"] },
			{ groups: ["g"] },
			{ tenants: ["t"] },
			{ purposes: ["p"] },
			{ claims: [{ claim: "c", values: ["v"] }] },
			{ principals: ["*"], pathTemplates: ["/{x}"] },
			{ principals: ["*"], regions: ["r"] },
			{ principals: ["*"], schedule: { timezone: "UTC", days: [1], fromMinute: 0, untilMinute: 1 } },
			{ principals: ["*"], validUntilMs: 1 },
			{ principals: ["*"], condition: "true" },
		]) {
			const { manifests, problems } = manifestsOf(set([accessPolicy("p", "allow", ["s"], fields)]), OPTIONS);
			const what = JSON.stringify(fields);
			t.same(problems, [], what);
			const closed =
				name === "istio"
					? valuesUnder(manifests, "directResponse").some((value) => JSON.stringify(value) === '{"status":503}')
					: JSON.stringify(manifests).includes("weir-closed");
			t.ok(closed, what);
		}
	});

	t.test(`${name}: settings that a mesh does not implement are reported`, async (t) => {
		const of = (fields: Partial<AccessPolicy["spec"]>) => [
			accessPolicy("p", "allow", ["s"], { principals: ["*"], ...fields }),
		];
		const warned = (resources: ResourceSet) => manifestsOf(resources, OPTIONS).warnings.join("\n");
		t.match(warned(set(of({ groups: ["g"] }))), /Policies judge users of s: the sidecar verifies the tokens itself/);
		t.match(warned(set(of({ regions: ["r"] }))), /Policies of s name regions/);
		t.match(
			warned(set(of({}))),
			name === "istio" ? /The hop to the servers of s .*STRICT/ : /The hop to the servers of s .* BackendTLSPolicy/,
		);
		t.notMatch(warned(set([], { access: "open" })), /The hop/);
		t.match(
			warned(set(of({ mode: "shadow" }), { access: "open" })),
			/Shadow policies of the open Service s are not tried/,
		);
		const rateLimits = { service: { requests: 1, perMs: 1_000 }, principal: null, tenant: null };
		t.match(warned(set(of({}), { rateLimits })), /Rate limits of s do not apply here/);
		const [edge] = set(of({})).gateways;
		const proxied = { ...edge, spec: { ...edge?.spec, trustedProxies: ["spiffe://x.test/p"] } } as Gateway;
		t.match(warned({ ...set(of({})), gateways: [proxied] }), /trustedProxies .* are trusted only by Weir's own Envoys/);
		const tls = { from: "files", certificateFile: "c", privateKeyFile: "k", clientCaFile: "a", trustDomains: ["a"] };
		const bounded = { ...edge, spec: { ...edge?.spec, tls } } as Gateway;
		t.match(
			warned({ ...set(of({})), gateways: [bounded] }),
			/trustDomains \(of [a-z]+\) are enforced only by Weir's own Envoys/,
		);
		const plain = warned(set(of({})));
		t.notMatch(plain, /trustedProxies|trustDomains|Rate limits|name regions|Shadow|judge users/);
		const refused = (resources: ResourceSet) =>
			manifestsOf(resources, OPTIONS)
				.problems.map(({ message }) => message)
				.join("\n");
		t.match(refused(set(of({}), { identities: ["spiffe://x.test/p"] })), /wants its endpoints to prove SPIFFE ids/);
		t.match(refused(set(of({}), {}, { from: "identity" })), /it would listen in plain text/);
		const signed = manifestsOf(set([], { access: "open", callout: { ...CALLOUT, sign: true } }), OPTIONS);
		t.same(signed.problems, []);
	});
}
