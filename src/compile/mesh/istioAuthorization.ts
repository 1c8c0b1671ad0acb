/** ext_authz in Istio: an extension provider in the mesh configuration, and a CUSTOM policy that uses it. */
import { protoDuration } from "../envoy/duration.js";
import type { IstioContext } from "./istioContext.js";
import { httpFilterMatch } from "./istioFilters.js";
import { providerService, registered } from "./istioSidecar.js";
import { type Fragment, type Manifest, manifest } from "./mesh.js";
import { longestTimeoutMs, type MeshService } from "./meshService.js";

const PROVIDER = "weir-sidecar";

/** Istio's name of the filter that calls a provider. */
const EXT_AUTHZ_FILTER = "envoy.filters.http.ext_authz";

/** MeshConfig.ExtensionProvider.EnvoyExternalAuthorizationGrpcProvider (istio.io/api mesh/v1alpha1). */
export function extAuthzFragments({ asked, options }: IstioContext): readonly Fragment[] {
	return [
		{
			into: "MeshConfig: key mesh of the ConfigMap istio in istio-system, or meshConfig of the installation",
			value: {
				extensionProviders: [
					{
						name: PROVIDER,
						envoyExtAuthzGrpc: {
							service: providerService(options),
							port: registered(options).port,
							// Explicit, because Istio's default is 600 s.
							timeout: protoDuration(longestTimeoutMs(asked)),
							failOpen: false,
							statusOnError: "503",
							clearRouteCache: true,
						},
					},
				],
			},
		},
	];
}

export function extAuthzManifests(context: IstioContext): readonly Manifest[] {
	const { asked, options } = context;
	return [
		manifest(
			["networking.istio.io/v1alpha3", "EnvoyFilter"],
			{ name: "weir-ext-authz", namespace: options.namespace },
			{
				workloadSelector: { labels: options.gatewayLabels },
				configPatches: [
					{
						applyTo: "HTTP_FILTER",
						match: httpFilterMatch(EXT_AUTHZ_FILTER),
						patch: {
							operation: "MERGE",
							value: {
								name: EXT_AUTHZ_FILTER,
								typed_config: {
									"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
									// Istio has the provider's field, but some releases ignore it. Without it no request would reach its
									// assigned Variant.
									clear_route_cache: true,
									// Non-ASCII bytes unchanged, not as `!`.
									encode_raw_headers: true,
								},
							},
						},
					},
				],
			},
		),
		...(asksAboutAll(context) ? [policy("weir-all", [{}], context)] : asked.map((one) => policyOf(one, context))),
	];
}

/**
 * Whether one policy must cover all requests of the gateway. A rule's host has `*` at one end only, so `*.example.com` with
 * any port cannot be expressed, and a client may always send a port.
 */
export const asksAboutAll = ({ asked }: IstioContext): boolean =>
	asked.some(({ service }) => service.spec.hosts.some((host) => host.startsWith("*")));

const policyOf = ({ service, objectName }: MeshService, context: IstioContext): Manifest =>
	policy(
		objectName,
		// `Host: name:port` is routed like `Host: name`, so it needs the check too.
		[{ to: [{ operation: { hosts: service.spec.hosts.flatMap((host) => [host, `${host}:*`]) } }] }],
		context,
	);

const policy = (name: string, rules: readonly object[], { options }: IstioContext): Manifest =>
	manifest(
		["security.istio.io/v1", "AuthorizationPolicy"],
		{ name, namespace: options.namespace },
		{ selector: { matchLabels: options.gatewayLabels }, action: "CUSTOM", provider: { name: PROVIDER }, rules },
	);
