/** The gateway in Envoy Gateway: listeners, removal of client headers before routing, filter order. */

import { tlsFiles } from "../../declare/resources/resource.js";
import { WEIR_HEADER_SPELLINGS } from "../plan/headers.js";
import type { AttachedGateway, EnvoyGatewayContext } from "./envoyGatewayContext.js";
import { KINDS } from "./envoyGatewayContext.js";
import { type Manifest, manifest } from "./mesh.js";

/** Name of the EnvoyProxy that changes the filter order. */
const PROXY = "weir";

export const certificateSecret = (gateway: AttachedGateway): string => `${gateway.metadata.name}-tls`;
export const clientCaConfigMap = (gateway: AttachedGateway): string => `${gateway.metadata.name}-client-ca`;

/** At most one: an existing gateway is not changed. */
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

/** Before routing and the sidecar, so that clients cannot set arm, Variant or claims. */
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
			// Rules must judge the path that the Service gets (as in the native form).
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
