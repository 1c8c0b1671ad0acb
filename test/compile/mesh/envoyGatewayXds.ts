/**
 * Envoy Gateway's translation of Weir's manifests (`egctl experimental translate`) as the bootstrap of a local Envoy.
 * The fast tier uses a recording, test/fixtures/mesh/envoyGatewayXds.json; the components tier translates anew and
 * compares.
 */
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { ENVOY_GATEWAY_CLASS, type MeshOutput } from "../../../src/compile/mesh/mesh.js";
import { MODULES } from "./crds.js";
import { mutual } from "./istioGateway.js";
import type { GatewayInput } from "./scenario.js";

type Json = { readonly [key: string]: unknown };

/** proto3 JSON in camel case, as egctl prints it. */
export interface EnvoyGatewayXds {
	readonly listener: Json;
	readonly routes: Json;
	readonly clusters: readonly Json[];
	/** Addresses of each cluster, by its name. */
	readonly endpoints: Readonly<Record<string, readonly string[]>>;
}

/** Kubernetes Services of the scenario and the cases: namespace, name, port; the index gives each an address. */
const SERVICES = [
	["weir", "weir-sidecar", 9191],
	["models", "employment-v1", 8080],
	["models", "employment-v2", 8080],
	["models", "plain", 8080],
	["models", "income", 8080],
] as const;

const addressOf = (index: number): string => `10.9.0.${index + 1}`;

/** Objects that a cluster would have beside Weir's. */
const surroundings: readonly object[] = [
	{
		apiVersion: "gateway.networking.k8s.io/v1",
		kind: "GatewayClass",
		metadata: { name: ENVOY_GATEWAY_CLASS },
		spec: { controllerName: "gateway.envoyproxy.io/gatewayclass-controller" },
	},
	...["weir", "models"].map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
	// egctl sees no endpoints, so it takes the Service's own address.
	...SERVICES.map(([namespace, name, port], index) => ({
		apiVersion: "v1",
		kind: "Service",
		metadata: { name, namespace },
		spec: {
			clusterIP: addressOf(index),
			clusterIPs: [addressOf(index)],
			ports: [{ name: "p", port, targetPort: port, protocol: "TCP" }],
		},
	})),
];

/** egctl of the pinned version, built once with Go (minutes); GOMAXPROCS is the machine's. */
export async function egctl(): Promise<string> {
	const [version] = MODULES["github.com/envoyproxy/gateway"];
	const directory = join(homedir(), ".cache/weir/go", `egctl@${version}`);
	const binary = join(directory, "egctl");
	const built = await access(binary).then(
		() => true,
		() => false,
	);
	if (built) return binary;
	await mkdir(directory, { recursive: true });
	await promisify(execFile)(
		"go",
		["install", "-ldflags", "-s -w", `github.com/envoyproxy/gateway/cmd/egctl@${version}`],
		{
			env: { ...process.env, GOBIN: directory, GOFLAGS: "-buildvcs=false", CGO_ENABLED: "0" },
			maxBuffer: 64 * 1024 * 1024,
		},
	);
	return binary;
}

export interface Translation {
	/** Resources that Envoy Gateway did not accept, or accepted only in part. */
	readonly refused: readonly string[];
	readonly xds: EnvoyGatewayXds;
}

export async function translate(binary: string, { manifests }: MeshOutput): Promise<Translation> {
	const directory = await mkdtemp(join(tmpdir(), "weir-egctl-"));
	try {
		const file = join(directory, "manifests.yaml");
		await writeFile(file, [...surroundings, ...manifests].map((one) => stringify(one)).join("---\n"));
		const { stdout } = await promisify(execFile)(
			binary,
			[
				"x",
				"translate",
				"--from",
				"gateway-api",
				"--to",
				"gateway-api,xds",
				"-o",
				"json",

				"-f",
				file,
			],
			{ maxBuffer: 64 * 1024 * 1024 },
		);
		const { xds, ...resources }: Translated = JSON.parse(stdout);
		const [dump] = Object.values(xds);
		return { refused: Object.values(resources).flat().flatMap(conditions), xds: fromDump(dump?.configs ?? []) };
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

interface Translated {
	readonly xds: Readonly<Record<string, { readonly configs: readonly Json[] }>>;
	readonly [resources: string]: unknown;
}

interface Conditioned {
	readonly metadata: { readonly name: string };
	readonly status?: {
		readonly ancestors?: readonly Conditions[];
		readonly parents?: readonly Conditions[];
	} & Conditions;
}

interface Conditions {
	readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[];
}

function conditions(resource: unknown): readonly string[] {
	const { metadata, status } = resource as Conditioned;
	const all = [...(status?.ancestors ?? []), ...(status?.parents ?? []), ...(status === undefined ? [] : [status])];
	return all
		.flatMap((one) => one.conditions ?? [])
		.filter((condition) => condition.status !== "True" || /Warning|Overridden|Conflict/.test(condition.type))
		.map((condition) => `${metadata.name}: ${condition.type} ${condition.status}: ${condition.message}`);
}

/** The one listener for clients, without its access logs and the controller's own admin parts. */
function fromDump(configs: readonly Json[]): EnvoyGatewayXds {
	const list = (type: string, key: string): readonly Json[] =>
		(configs.find((config) => String(config["@type"]).endsWith(type))?.[key] ?? []) as readonly Json[];
	const listener = list("ListenersConfigDump", "dynamicListeners")
		.map(({ activeState }) => (activeState as { readonly listener: Json }).listener)
		.find(({ name }) => String(name).startsWith("weir/"));
	const routes = list("RoutesConfigDump", "dynamicRouteConfigs")
		.map(({ routeConfig }) => routeConfig as Json)
		.find(({ name }) => String(name).startsWith("weir/"));
	if (listener === undefined || routes === undefined) throw new Error("Envoy Gateway made no listener of ours");
	return {
		listener: without(listener, "accessLog") as Json,
		routes,
		clusters: list("ClustersConfigDump", "dynamicActiveClusters")
			.map(({ cluster }) => cluster as Json)
			.filter(({ type }) => type === "EDS"),
		endpoints: Object.fromEntries(
			list("EndpointsConfigDump", "dynamicEndpointConfigs").map(({ endpointConfig }) => {
				const { clusterName, endpoints } = endpointConfig as ClusterLoadAssignment;
				return [
					clusterName,
					endpoints.flatMap(({ lbEndpoints }) =>
						lbEndpoints.map(({ endpoint: { address } }) => address.socketAddress?.address ?? address.pipe?.path ?? ""),
					),
				];
			}),
		),
	};
}

interface ClusterLoadAssignment {
	readonly clusterName: string;
	readonly endpoints: readonly {
		readonly lbEndpoints: readonly {
			readonly endpoint: {
				readonly address: {
					readonly socketAddress?: { readonly address: string };
					readonly pipe?: { readonly path: string };
				};
			};
		}[];
	}[];
}

function without(value: unknown, key: string): unknown {
	if (Array.isArray(value)) return value.map((item) => without(item, key));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value)
			.filter(([name]) => name !== key)
			.map(([name, inner]) => [name, without(inner, key)]),
	);
}

/** Envoy Gateway's own configuration, with mTLS added and its clusters' addresses replaced. */
export const envoyGatewayBootstrap =
	(xds: EnvoyGatewayXds) =>
	({ tls, adminSocket, sidecarSocket, port }: GatewayInput): object => {
		const real = (address: string) => {
			const [, service = ""] = SERVICES.find((_, index) => addressOf(index) === address) ?? [];
			return service === "weir-sidecar"
				? { pipe: { path: sidecarSocket } }
				: { socketAddress: { address: "127.0.0.1", portValue: port(service) } };
		};
		const { "@type": _routes, ...routeConfig } = xds.routes;
		const chain = xds.listener.defaultFilterChain as { readonly filters: readonly Json[] };
		const filters = chain.filters.map((filter) => {
			const { rds: _, ...manager } = filter.typedConfig as Json;
			return { ...filter, typedConfig: { ...manager, routeConfig } };
		});
		const { "@type": _, ...listener } = xds.listener;
		return {
			admin: { address: { pipe: { path: adminSocket } } },
			static_resources: {
				listeners: [
					{
						...listener,
						address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
						defaultFilterChain: { ...chain, filters, ...mutual(tls) },
					},
				],
				clusters: xds.clusters.map(({ "@type": _type, edsClusterConfig: _eds, ...cluster }) => ({
					...cluster,
					type: "STATIC",
					loadAssignment: {
						clusterName: cluster.name,
						endpoints: [
							{
								lbEndpoints: (xds.endpoints[String(cluster.name)] ?? []).map((address) => ({
									endpoint: { address: real(address) },
								})),
								loadBalancingWeight: 1,
								locality: {},
							},
						],
					},
				})),
			},
		};
	};
