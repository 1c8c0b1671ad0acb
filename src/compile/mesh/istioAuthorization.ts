/** ext_authz in Istio: an extension provider in the mesh's configuration, and a CUSTOM policy that asks it. */
import { protoDuration } from "../envoy/duration.js";
import type { IstioContext } from "./istioContext.js";
import { httpFilterMatch } from "./istioFilters.js";
import { providerService, registered } from "./istioSidecar.js";
import { type Fragment, type Manifest, manifest } from "./mesh.js";
import { longestTimeoutMs, type MeshService } from "./meshService.js";

const PROVIDER = "weir-sidecar";

/** Istio's name of the filter that asks a provider. */
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
							// Said, because Istio's default is 600 s.
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
									// Istio has the provider's field, but releases that do not carry it out: without it no
									// request would reach the Variant that it was assigned to.
									clear_route_cache: true,
									// Bytes beyond ASCII as they came, not as `!`.
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
 * Whether one policy covers all that comes through the gateway. A rule takes a host with `*` at one end only, so
 * `*.example.com` with any port after it cannot be written, and a client may always send a port.
 */
export const asksAboutAll = ({ asked }: IstioContext): boolean =>
	asked.some(({ service }) => service.spec.hosts.some((host) => host.startsWith("*")));

const policyOf = ({ service, objectName }: MeshService, context: IstioContext): Manifest =>
	policy(
		objectName,
		// `Host: name:port` is routed as `Host: name`, and so must be asked about.
		[{ to: [{ operation: { hosts: service.spec.hosts.flatMap((host) => [host, `${host}:*`]) } }] }],
		context,
	);

const policy = (name: string, rules: readonly object[], { options }: IstioContext): Manifest =>
	manifest(
		["security.istio.io/v1", "AuthorizationPolicy"],
		{ name, namespace: options.namespace },
		{ selector: { matchLabels: options.gatewayLabels }, action: "CUSTOM", provider: { name: PROVIDER }, rules },
	);
