/**
 * Makes Envoy Gateway call Weir's sidecar and route by its answer. Each Service has its own policies, with its own timeout
 * and failure mode. From Envoy Gateway's source: by default external authorisation runs before token authentication, so the
 * order is changed if claims are needed.
 */
import { type Problem, qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { withinRegions } from "../table/residency.js";
import type { EnvoyGatewayContext } from "./envoyGatewayContext.js";
import { clientTrafficPolicy, envoyProxy, gatewayManifest } from "./envoyGatewayListener.js";
import { calloutPolicy, securityPolicy } from "./envoyGatewayPolicies.js";
import { backends, closedFilter, httpRoute, isHostname, referenceGrants, trafficPolicy } from "./envoyGatewayRoutes.js";
import { sidecarBackends } from "./envoyGatewaySidecar.js";
import { backendFragments, envoyGatewayWarnings } from "./envoyGatewayWarnings.js";
import { gatewayName, type MeshOptions, type MeshOutput, nameClashes, problem } from "./mesh.js";
import { claimHeaders, gatewayObject, meshProblems, meshServices } from "./meshService.js";

/** @param declared checked resources (resources/checks/check.ts) */
export function envoyGatewayManifests(declared: ResourceSet, options: MeshOptions): MeshOutput {
	const resources = withinRegions(declared);
	const services = meshServices(resources);
	const asked = services.filter(({ asked }) => asked);
	const context: EnvoyGatewayContext = {
		resources,
		services,
		asked,
		options,
		gateways:
			options.gateway === null
				? resources.gateways.map((declared) => ({
						metadata: { name: gatewayObject(declared), namespace: options.namespace },
						declared,
					}))
				: [{ metadata: gatewayName(options.gateway, options.namespace), declared: null }],
		reorders: options.protocol === "ext_authz" && claimHeaders(asked).length > 0,
	};
	const manifests = [
		...referenceGrants(context),
		...sidecarBackends(context),
		...services.flatMap((service) => backends(service, context)),
		...envoyProxy(context),
		...context.gateways.flatMap((gateway) => gatewayManifest(gateway, context)),
		...context.gateways.map((gateway) => clientTrafficPolicy(gateway, context)),
		...closedFilter(context),
		...services.map((service) => trafficPolicy(service, context)),
		...asked.flatMap((service) => [...securityPolicy(service, context), ...calloutPolicy(service, context)]),
		// Last: a host becomes reachable only when it is guarded.
		...services.map((service) => httpRoute(service, context)),
	];
	return {
		manifests,
		fragments: backendFragments(manifests),
		warnings: envoyGatewayWarnings(context),
		problems: [
			...meshProblems(resources, services, options),
			...envoyGatewayProblems(context),
			...nameClashes(manifests),
		],
	};
}

/** Maximum rules of one HTTPRoute (its CRD's maxItems). */
const ROUTE_ITEMS_MAX = 16;

function envoyGatewayProblems({ services, reorders, options, gateways }: EnvoyGatewayContext): readonly Problem[] {
	return [
		...(reorders && options.gateway !== null
			? [
					problem(
						"Envoy Gateway asks external authorisation before it verifies tokens, so the sidecar would never see a claim",
						"compile with --protocol ext_proc, whose filter comes after token authentication, or let Weir make the gateway",
					),
				]
			: []),
		...gateways.flatMap(({ declared }) =>
			declared !== null && declared.spec.port === 0
				? [
						problem(
							`Gateway ${qualifiedName(declared.metadata)} listens on any free port, which a Gateway listener cannot`,
							"write a port, such as 8080",
						),
					]
				: [],
		),
		...services.flatMap(({ service: { metadata, spec } }) => {
			const who = `Service ${qualifiedName(metadata)}`;
			const hosts = spec.hosts.filter(isHostname);
			if (hosts.length === 0)
				return [problem(`${who} has no host that an HTTPRoute can name`, "write a DNS name such as api.example.com")];
			if (hosts.length > ROUTE_ITEMS_MAX)
				return [problem(`${who} has ${hosts.length} hosts; an HTTPRoute holds 16`, "split it, or use a wildcard host")];
			if (spec.variants.length >= ROUTE_ITEMS_MAX)
				return [problem(`${who} has ${spec.variants.length} Variants; an HTTPRoute holds rules for 15`, "remove some")];
			return [];
		}),
	];
}
