/** Declarations that together produce every manifest and field that the mesh compilers can emit. */
import { generateKeyPairSync } from "node:crypto";
import {
	ENVOY_GATEWAY_CLASS,
	ISTIO_GATEWAY_LABELS,
	type MeshOptions,
	type MeshOutput,
} from "../../../src/compile/mesh/mesh.js";
import type {
	Gateway,
	GatewayTls,
	ResourceSet,
	TokenIssuer,
	Variant,
} from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
} from "../../fixtures/resources.js";

export interface MeshCase {
	readonly name: string;
	readonly resources: ResourceSet;
	readonly options: Omit<MeshOptions, "protocol">;
	/** Istio, or one protocol there, cannot enforce it. */
	readonly istioRefuses?: "always" | "ext_authz";
	readonly envoyGatewayRefuses?: "ext_authz";
}

export const at = (name: string, ...addresses: readonly string[]): Variant => ({
	name,
	endpoints: addresses.map((address) => ({ address, port: 8080, locality: null })),
});

export const V1 = at("v1", "employment-v1.models.svc.cluster.local");
export const V2 = at("v2", "employment-v2.models.svc.cluster.local");

export const ISSUER: TokenIssuer = tokenIssuer("https://issuer.example", ["weir"], "/etc/weir/jwks.json");

export const onPort = (
	spec: { tls?: GatewayTls; tokens?: readonly TokenIssuer[]; exposeArm?: boolean } = {},
): Gateway => {
	const made = gateway(spec);
	return { ...made, spec: { ...made.spec, port: 8080 } };
};

/** One Service with one Experiment, behind one Gateway. */
export const one = (fields: Parameters<typeof service>[2] = {}, parts: Partial<ResourceSet> = {}): ResourceSet =>
	resourceSet({
		gateways: [onPort()],
		services: [service("employment", [V1, V2], { hosts: ["employment.example"], ...fields })],
		experiments: [experiment("boosted", "employment", [1, 1])],
		...parts,
	});

export const messages = ({ problems }: MeshOutput): string => problems.map(({ message }) => message).join("\n");

/** A real key: Envoy accepts no configuration whose key set is empty. */
function publicKey(): object {
	const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	return { ...publicKey.export({ format: "jwk" }), kid: "test", alg: "ES256" };
}

export const OPTIONS: Omit<MeshOptions, "protocol"> = {
	sidecar: { host: "weir-sidecar.weir.svc.cluster.local", port: 9191 },
	namespace: "weir",
	gateway: null,
	gatewayLabels: ISTIO_GATEWAY_LABELS,
	gatewayClass: ENVOY_GATEWAY_CLASS,
	keySets: { [ISSUER.issuer]: JSON.stringify({ keys: [publicKey()] }) },
};

const employment = (unit: Parameters<typeof experiment>[3]) => ({
	services: [service("employment", [V1, V2], { hosts: ["employment.example"] })],
	experiments: [experiment("boosted", "employment", [1, 1], unit)],
});

const everything = service(
	"income",
	[
		{
			name: "v1",
			endpoints: [
				{ address: "203.0.113.7", port: 8080, locality: { region: "eu", zone: "eu-1", subZone: "" } },
				{ address: "income.example.net", port: 8443, locality: null },
				{ address: "income.models.svc", port: 8080, locality: null },
			],
		},
		at("v2", "2001:db8::7"),
		{ name: "v3", endpoints: [] },
	],
	{
		namespace: "team-a",
		hosts: ["income.example", "*.income.example"],
		protocol: "grpc",
		access: null,
		timeoutMs: 90_500,
		retries: { attempts: 2, on: ["connect-failure", "reset", "envoy-ratelimited"], perTryTimeoutMs: 1_500 },
		healthCheck: { path: null, intervalMs: 5_000, timeoutMs: 1_000, healthyThreshold: 1, unhealthyThreshold: 3 },
		outlierDetection: { consecutive5xx: 5, intervalMs: 10_000, baseEjectionTimeMs: 30_000, maxEjectionPercent: 50 },
		circuitBreaker: { maxConnections: 100, maxPendingRequests: 50, maxRequests: 200, maxRetries: 3 },
		noEndpoint: "default-variant",
		callout: { ...CALLOUT, timeoutMs: 1_500 },
	},
);

export const CASES: readonly MeshCase[] = [
	{
		name: "header unit",
		resources: resourceSet({ gateways: [onPort()], ...employment({}) }),
		options: OPTIONS,
	},
	{
		name: "cookie unit, sidecar on a socket, an existing gateway in another namespace",
		resources: resourceSet({
			gateways: [onPort({ exposeArm: false })],
			...employment({ unit: { from: "cookie", cookie: "uid", maxAgeMs: 86_400_000 } }),
		}),
		options: { ...OPTIONS, sidecar: { socketPath: "/run/weir/sidecar.sock" }, gateway: "ingress/public" },
	},
	{
		name: "claim unit",
		resources: resourceSet({
			gateways: [onPort({ tokens: [ISSUER, { ...ISSUER, audiences: [] }] })],
			...employment({ unit: { from: "claim", claim: "org.Team_id" } }),
		}),
		options: OPTIONS,
		istioRefuses: "ext_authz",
	},
	{
		name: "claim unit at an existing gateway",
		resources: resourceSet({
			gateways: [onPort({ tokens: [ISSUER] })],
			...employment({ unit: { from: "claim", claim: "sub" } }),
		}),
		options: { ...OPTIONS, gateway: "public" },
		istioRefuses: "ext_authz",
		envoyGatewayRefuses: "ext_authz",
	},
	{
		name: "every field of a Service, in a namespace, beside open Services",
		resources: resourceSet({
			gateways: [
				onPort({
					tls: {
						from: "files",
						certificateFile: "/etc/tls.crt",
						privateKeyFile: "/etc/tls.key",
						clientCaFile: "/etc/ca.crt",
					},
				}),
			],
			services: [
				everything,
				service("plain", [at("v1", "plain.models.svc.cluster.local")], {
					protocol: "http2",
					healthCheck: {
						path: "/ready",
						intervalMs: 5_000,
						timeoutMs: 1_000,
						healthyThreshold: 1,
						unhealthyThreshold: 3,
					},
				}),
				service("empty", [{ name: "v1", endpoints: [] }]),
			],
			experiments: [experiment("e", "income", [1, 1, 1], { namespace: "team-a" })],
			accessPolicies: [
				accessPolicy(
					"clients",
					"allow",
					["income"],
					{ principals: ["spiffe://weir.test/client"], pathPrefixes: ["/v2"] },
					"team-a",
				),
			],
		}),
		options: OPTIONS,
	},
	{
		name: "served without an answer",
		resources: resourceSet({
			gateways: [onPort()],
			services: [service("employment", [V1, V2], { callout: { ...CALLOUT, onFailure: "default-variant" } })],
			experiments: [experiment("boosted", "employment", [1, 1])],
		}),
		options: OPTIONS,
		istioRefuses: "always",
	},
];

export const PROTOCOLS = ["ext_authz", "ext_proc"] as const;
