/** Warnings for operators who add Weir to an Istio mesh; each only if it applies. */
import { qualifiedName } from "../../declare/resources/resource.js";
import { asksAboutAll } from "./istioAuthorization.js";
import type { IstioContext } from "./istioContext.js";
import { distinct } from "./mesh.js";
import { accessWarnings, claimHeaders, exposesArm, protectedNames } from "./meshService.js";
import { clusterService } from "./variantEndpoints.js";

export function istioWarnings(context: IstioContext): readonly string[] {
	const { services, asked, options } = context;
	const variants = services.flatMap(({ service }) => service.spec.variants);
	const guarded = protectedNames(services);
	return distinct([
		...accessWarnings(services, context.resources.gateways),
		...(guarded === ""
			? []
			: [
					`The hop to the servers of ${guarded} is the mesh's: mTLS to pods with Istio's proxy, which a PeerAuthentication must demand (STRICT), and plain text to all others.`,
				]),
		...(asked.length === 0 ? [] : askedWarnings(context)),
		...(options.protocol === "ext_authz" && asked.length > 0 ? extAuthzWarnings(context) : []),
		...(options.protocol === "ext_proc" && asked.length > 0 ? extProcWarnings(context) : []),
		...(services.some(({ judgesPrincipals }) => judgesPrincipals)
			? [
					"AccessPolicies name principals: Envoy knows one (spiffe://…) only of callers that show a certificate. The gateway's server must be TLS mode MUTUAL (or ISTIO_MUTUAL), and inside the mesh PeerAuthentication must be STRICT; a caller in plain text has no principal and is denied. A certificate must have exactly one URI SAN (X.509-SVID): the sidecar gets only the first of several, or a DNS name where there is none, so a CA that signs others lets a caller choose.",
				]
			: []),
		...(services.some(({ judgesPaths }) => judgesPaths)
			? [
					"Policies judge paths, so the gateway normalises paths, merges slashes and refuses escaped ones (%2F) for all its hosts, not only Weir's.",
				]
			: []),
		...services
			.filter(({ service }) => service.spec.healthCheck !== null)
			.map(
				({ service }) =>
					`Service ${qualifiedName(service.metadata)} declares a health check; Istio has no active ones: use readiness probes, or outlierDetection.`,
			),
		...(variants.some(({ endpoints }) => endpoints.some(({ address }) => clusterService(address) === null))
			? [
					"Some endpoints are not Kubernetes Services of this cluster: the gateway reaches them without the mesh's mTLS, so they cannot prove that a request came through it.",
				]
			: []),
		...(services.some(({ service }) => service.spec.protocol !== "http1")
			? [
					"A Kubernetes Service speaks HTTP/2 or gRPC only if its port says so (appProtocol, or a name that begins with http2- or grpc-).",
				]
			: []),
	]);
}

function askedWarnings({ asked, options }: IstioContext): readonly string[] {
	const timeouts = new Set(asked.map(({ service }) => service.spec.callout.timeoutMs));
	return [
		"The callout is at the gateway: callers inside the mesh that go to a Variant's Service directly pass it by. Allow the Variants' workloads to the gateway's service account only (AuthorizationPolicy ALLOW with its principal).",
		"Waypoints and ambient mode: these manifests are for a gateway. A waypoint authorises by Service and routes by its own resources, VirtualServices there are alpha, and its EnvoyFilters have another context; use an ingress gateway.",
		"The sidecar must answer by host and always name the Variant: give it a table compiled with --mode callout.",
		"socketPath" in options.sidecar
			? "The sidecar is a container in the gateway's pod, and its socket lies on a volume that both mount, 0700, same uid."
			: "The sidecar listens on a socket, or by mTLS with SVIDs of one trust domain (--listen with --identity); with the mesh's own certificates its pod needs Istio's proxy in front (a Sidecar resource with ingress.defaultEndpoint), with PeerAuthentication STRICT; its Service's port must be named grpc or have appProtocol grpc.",
		...(timeouts.size > 1
			? ["Services grant the sidecar different times, but a gateway has one filter: the longest holds for all."]
			: []),
	];
}

function extAuthzWarnings(context: IstioContext): readonly string[] {
	return [
		"Istio's default timeout of an extension provider is 600 s: a hung sidecar would hold every request that long. The fragment sets the real one; never leave it out.",
		"Istio answers 403 when a provider fails unless statusOnError sets another status; here it is 503, so that a failure is no denial. A denial by policy stays 403.",
		"The provider clears the route cache, which istioctl analyze reports where it knows it (IST0178): any other filter that changes a route after authorisation would make the verdict one on another route. Put none after it; Weir authorises the Variant in the same answer.",
		"All CUSTOM policies of one gateway should use one provider; with a second one Istio denies everything unless PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS is set.",
		...(asksAboutAll(context)
			? [
					"A Service has a wildcard host, which a rule cannot match together with a port: the sidecar is asked about all that comes through this gateway, and denies hosts that it does not know. Use a gateway of its own.",
				]
			: []),
		...(exposesArm(context.resources)
			? ["Istio's ext_authz carries no context of ours, so clients are not shown their arm (exposeArm)."]
			: []),
	];
}

function extProcWarnings({ asked }: IstioContext): readonly string[] {
	return [
		"The filter is asked about all that comes through this gateway, and the sidecar denies hosts that it does not know. Use a gateway of its own.",
		"Envoy ends every ext_proc stream with a reset, and Node closes a connection after the 1,000th: the DestinationRule's maxRequestsPerConnection keeps below that, the runtime guard of the fragment ends the resets. Apply both, or requests fail.",
		"EnvoyFilter is bound to names inside Istio: check after an upgrade that the filter weir.process stands before the router (istioctl proxy-config listeners). Without it every request of an asked Service is answered 503.",
		...(claimHeaders(asked).length > 0
			? [
					"RequestAuthentication answers 401 to a token that does not verify; Weir's own gateways would serve such a request without a unit.",
				]
			: []),
	];
}
