/** Policies of a Service with callout in Envoy Gateway: the sidecar's address, the timeout, and the response to a failure. */
import { CONTEXT, METADATA_NAMESPACE } from "../envoy/calloutContext.js";
import { type EnvoyGatewayContext, KINDS } from "./envoyGatewayContext.js";
import { sidecarReference } from "./envoyGatewaySidecar.js";
import { gatewayDuration } from "./gatewayDuration.js";
import { type Manifest, manifest } from "./mesh.js";
import { claimHeaders, exposesArm, type MeshService, tokenIssuers } from "./meshService.js";

const target = ({ objectName }: MeshService): object => ({
	targetRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: objectName }],
});

/** SecurityPolicy: external authorisation, and the tokens of Services that assign by a claim. */
export function securityPolicy(one: MeshService, context: EnvoyGatewayContext): readonly Manifest[] {
	const { options } = context;
	const spec = {
		...(options.protocol === "ext_authz" ? { extAuth: extAuth(one, context) } : {}),
		...(one.claims.length === 0 ? {} : { jwt: tokens(one, context) }),
	};
	if (Object.keys(spec).length === 0) return [];
	return [
		manifest(KINDS.SecurityPolicy, { name: one.objectName, namespace: options.namespace }, { ...target(one), ...spec }),
	];
}

function extAuth({ service, passes }: MeshService, context: EnvoyGatewayContext): object {
	return {
		grpc: sidecarReference(context.options),
		timeout: gatewayDuration(service.spec.callout.timeoutMs),
		failOpen: passes,
		statusOnError: 503,
		// The Variant's header chooses the route. Envoy Gateway's own authorisation runs later.
		recomputeRoute: true,
		...(exposesArm(context.resources)
			? { contextExtensions: [{ name: CONTEXT.expose, type: "Value", value: "1" }] }
			: {}),
	};
}

function tokens(one: MeshService, { resources, options }: EnvoyGatewayContext): object {
	return {
		// As in the native form: a missing or invalid token gives no claim and does not affect access.
		failOpen: true,
		providers: tokenIssuers(resources).map(({ issuer, audiences }, index) => ({
			name: `weir-issuer-${index}`,
			issuer,
			...(audiences.length === 0 ? {} : { audiences }),
			localJWKS: { type: "Inline", inline: options.keySets[issuer] ?? "" },
			claimToHeaders: claimHeaders([one]),
		})),
	};
}

/** EnvoyExtensionPolicy: the same callout by ext_proc. */
export function calloutPolicy(one: MeshService, { options }: EnvoyGatewayContext): readonly Manifest[] {
	if (options.protocol !== "ext_proc") return [];
	return [
		manifest(
			KINDS.EnvoyExtensionPolicy,
			{ name: one.objectName, namespace: options.namespace },
			{
				...target(one),
				extProc: [
					{
						...sidecarReference(options),
						messageTimeout: gatewayDuration(one.service.spec.callout.timeoutMs),
						failOpen: one.passes,
						statusOnError: 503,
						processingMode: {
							// The sidecar requests the response only if it changes it.
							allowModeOverride: true,
							request: { attributes: ["connection.uri_san_peer_certificate"] },
						},
						metadata: { writableNamespaces: [METADATA_NAMESPACE] },
					},
				],
			},
		),
	];
}
