/**
 * Makes an Istio gateway call Weir's sidecar and route by its answer. The callout is at the gateway, not at the called pods:
 * only there is the route chosen after the answer. From Istio's source: CUSTOM authorisation runs before token
 * authentication, and `filterClass` of EnvoyFilter is not implemented, so `ADD` inserts after the router; so the filters are
 * positioned by name.
 */
import {
	type Gateway,
	type Problem,
	qualifiedName,
	type ResourceSet,
	tlsFiles,
} from "../../declare/resources/resource.js";
import { withinRegions } from "../table/residency.js";
import { extAuthzFragments, extAuthzManifests } from "./istioAuthorization.js";
import type { IstioContext } from "./istioContext.js";
import { extProcFragments, extProcManifests, stripManifest } from "./istioFilters.js";
import { destinations, virtualService } from "./istioRoutes.js";
import { sidecarDestination } from "./istioSidecar.js";
import { istioWarnings } from "./istioWarnings.js";
import {
	gatewayName,
	type Manifest,
	type MeshOptions,
	type MeshOutput,
	manifest,
	nameClashes,
	problem,
} from "./mesh.js";
import { claimHeaders, gatewayObject, meshProblems, meshServices, tokenIssuers } from "./meshService.js";

/** @param declared checked resources (resources/checks/check.ts) */
export function istioManifests(declared: ResourceSet, options: MeshOptions): MeshOutput {
	const resources = withinRegions(declared);
	const services = meshServices(resources);
	const context: IstioContext = {
		resources,
		services,
		asked: services.filter(({ asked }) => asked),
		options,
		gateways:
			options.gateway === null
				? resources.gateways.map((gateway) => `${options.namespace}/${gatewayObject(gateway)}`)
				: [path(gatewayName(options.gateway, options.namespace))],
	};
	const asks = context.asked.length > 0;
	const proc = options.protocol === "ext_proc";
	const manifests = [
		...(asks ? sidecarDestination(context) : []),
		...services.flatMap((service) => destinations(service, context)),
		...(options.gateway === null ? resources.gateways.map((gateway) => istioGateway(gateway, context)) : []),
		stripManifest(context),
		...requestAuthentication(context),
		...(asks ? (proc ? extProcManifests(context) : extAuthzManifests(context)) : []),
		// Last: a host becomes reachable only when it is guarded.
		...services.map((service) => virtualService(service, context)),
	];
	return {
		manifests,
		fragments: asks ? (proc ? extProcFragments() : extAuthzFragments(context)) : [],
		warnings: istioWarnings(context),
		problems: [...meshProblems(resources, services, options), ...istioProblems(context), ...nameClashes(manifests)],
	};
}

const path = ({ name, namespace }: Manifest["metadata"]): string => `${namespace}/${name}`;

function istioGateway(gateway: Gateway, { services, options }: IstioContext): Manifest {
	const { port } = gateway.spec;
	const tls = tlsFiles(gateway);
	return manifest(
		["networking.istio.io/v1", "Gateway"],
		{ name: gatewayObject(gateway), namespace: options.namespace },
		{
			selector: options.gatewayLabels,
			servers: [
				{
					port: { number: port, name: tls === null ? "http" : "https", protocol: tls === null ? "HTTP" : "HTTPS" },
					hosts: services.flatMap(({ service }) => service.spec.hosts),
					...(tls === null
						? {}
						: {
								tls: {
									mode: tls.clientCaFile === null ? "SIMPLE" : "MUTUAL",
									serverCertificate: tls.certificateFile,
									privateKey: tls.privateKeyFile,
									...(tls.clientCaFile === null ? {} : { caCertificates: tls.clientCaFile }),
								},
							}),
				},
			],
		},
	);
}

/** Verifies tokens at the gateway and copies their claims into Weir headers. */
function requestAuthentication({ resources, asked, options }: IstioContext): readonly Manifest[] {
	const claims = claimHeaders(asked);
	if (claims.length === 0) return [];
	return [
		manifest(
			["security.istio.io/v1", "RequestAuthentication"],
			{ name: "weir-claims", namespace: options.namespace },
			{
				selector: { matchLabels: options.gatewayLabels },
				jwtRules: tokenIssuers(resources).map(({ issuer, audiences }) => ({
					issuer,
					...(audiences.length === 0 ? {} : { audiences }),
					jwks: options.keySets[issuer] ?? "",
					// The Service still gets the token.
					forwardOriginalToken: true,
					outputClaimToHeaders: claims,
				})),
			},
		),
	];
}

function istioProblems({ resources, services, asked, options }: IstioContext): readonly Problem[] {
	return [
		...(options.protocol === "ext_authz" && claimHeaders(asked).length > 0
			? [
					problem(
						"Istio asks a CUSTOM authorisation provider before it verifies tokens, so the sidecar would never see a claim",
						"compile with --protocol ext_proc, whose filter comes after token authentication",
					),
				]
			: []),
		...asked
			.filter(({ passes }) => passes)
			.map(({ service }) =>
				problem(
					`Service ${qualifiedName(service.metadata)} is to be served without the sidecar's answer, but an Istio gateway has one filter for all Services, and that one stays closed`,
					"set callout.onFailure: deny",
				),
			),
		...(options.gateway !== null
			? []
			: resources.gateways
					.filter(({ spec }) => spec.port === 0)
					.map(({ metadata }) =>
						problem(
							`Gateway ${qualifiedName(metadata)} listens on any free port, which a Kubernetes Service cannot name`,
							"write a port, such as 8080",
						),
					)),
		...(services.length > 0
			? []
			: [problem("no Service is declared, so there is nothing to route", "add one: kind: Service")]),
	];
}
