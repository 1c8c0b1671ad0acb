/** The gateway's own side in Envoy Gateway: listeners, what is taken from clients before routing, filter order. */

import { tlsFiles } from "../../declare/resources/resource.js";
import { WEIR_HEADER_SPELLINGS } from "../envoy/headers.js";
import type { AttachedGateway, EnvoyGatewayContext } from "./envoyGatewayContext.js";
import { KINDS } from "./envoyGatewayContext.js";
import { type Manifest, manifest } from "./mesh.js";

/** Name of the EnvoyProxy that changes the filter order. */
const PROXY = "weir";

export const certificateSecret = (gateway: AttachedGateway): string => `${gateway.metadata.name}-tls`;
export const clientCaConfigMap = (gateway: AttachedGateway): string => `${gateway.metadata.name}-client-ca`;

/** At most one: a gateway that exists already is left as it is. */
export function gatewayManifest(gateway: AttachedGateway, context: EnvoyGatewayContext): readonly Manifest[] {
	const { declared, metadata } = gateway;
	if (declared === null) return [];
	const { port, tls } = declared.spec;
	return [
		manifest(KINDS.Gateway, metadata, {
			gatewayClassName: context.options.gatewayClass,
			...(context.reorders
				? {
						infrastructure: {
							parametersRef: { group: "gateway.envoyproxy.io", kind: "EnvoyProxy", name: PROXY },
						},
					}
				: {}),
			listeners: [
				{
					name: "clients",
					port,
					protocol: tls === null ? "HTTP" : "HTTPS",
					...(tls === null
						? {}
						: {
								tls: {
									mode: "Terminate",
									certificateRefs: [{ group: "", kind: "Secret", name: certificateSecret(gateway) }],
								},
							}),
					allowedRoutes: { namespaces: { from: "Same" } },
				},
			],
		}),
	];
}

/** Before routing, and before the sidecar sees the request: no client can name its arm, Variant or claims. */
export function clientTrafficPolicy(gateway: AttachedGateway, { services }: EnvoyGatewayContext): Manifest {
	const { metadata, declared } = gateway;
	return manifest(
		KINDS.ClientTrafficPolicy,
		{ name: `weir-clients-${metadata.name}`, namespace: metadata.namespace },
		{
			targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: metadata.name }],
			headers: {
				earlyRequestHeaders: { removeOnMatch: WEIR_HEADER_SPELLINGS.map((value) => ({ type: "Prefix", value })) },
			},
			// A rule on a path must judge what the Service will see (as the native form does).
			...(services.some(({ judgesPaths }) => judgesPaths)
				? { path: { disableMergeSlashes: false, escapedSlashesAction: "RejectRequest" } }
				: {}),
			...(declared != null && tlsFiles(declared)?.clientCaFile
				? {
						tls: {
							clientValidation: {
								caCertificateRefs: [{ group: "", kind: "ConfigMap", name: clientCaConfigMap(gateway) }],
							},
						},
					}
				: {}),
		},
	);
}

/** At most one: external authorisation after token authentication, so that the sidecar sees claims. */
export function envoyProxy({ reorders, options }: EnvoyGatewayContext): readonly Manifest[] {
	if (!reorders) return [];
	return [
		manifest(
			KINDS.EnvoyProxy,
			{ name: PROXY, namespace: options.namespace },
			{ filterOrder: [{ name: "envoy.filters.http.ext_authz", after: "envoy.filters.http.jwt_authn" }] },
		),
	];
}
