/** Warnings for operators who add Weir to Envoy Gateway; each only if it applies. */
import { qualifiedName, tlsFiles } from "../../declare/resources/resource.js";
import type { EnvoyGatewayContext } from "./envoyGatewayContext.js";
import { certificateSecret, clientCaConfigMap } from "./envoyGatewayListener.js";
import { isHostname, RETRY_TRIGGERS } from "./envoyGatewayRoutes.js";
import { distinct, type Fragment, type Manifest } from "./mesh.js";
import { accessWarnings, exposesArm, protectedNames } from "./meshService.js";

/** Backends are an extension that is off by default. */
export function backendFragments(manifests: readonly Manifest[]): readonly Fragment[] {
	if (!manifests.some(({ kind }) => kind === "Backend")) return [];
	return [
		{
			into: "EnvoyGateway: ConfigMap envoy-gateway-config in envoy-gateway-system, or config.envoyGateway of the chart",
			value: { extensionApis: { enableBackend: true } },
		},
	];
}

export function envoyGatewayWarnings(context: EnvoyGatewayContext): readonly string[] {
	const { services, asked, gateways, options } = context;
	const guarded = protectedNames(services);
	return distinct([
		...accessWarnings(services, context.resources.gateways),
		...(guarded === ""
			? []
			: [
					`The hop to the servers of ${guarded} is in plain text unless you add a BackendTLSPolicy, and the gateway proves itself to them only by EnvoyProxy.spec.backendTLS.clientCertificateRef.`,
				]),
		"An older ClientTrafficPolicy for the same Gateway wins over Weir's, and then clients can send x-weir-* headers, claims among them. Put earlyRequestHeaders.removeOnMatch (Prefix x-weir-, x_weir_, x_weir- and x-weir_) into the one that holds.",
		...(asked.length === 0 ? [] : askedWarnings(context)),
		...(options.protocol === "ext_proc" && asked.length > 0
			? [
					"Envoy ends every ext_proc stream with a reset, and Node closes a connection after the 1,000th: backendSettings.circuitBreaker.maxRequestsPerConnection keeps below that. The runtime guard ext_proc_graceful_grpc_close, which ends the resets, has no field here; it can be set in EnvoyProxy.spec.bootstrap.",
					"EnvoyExtensionPolicy has no rules for which headers the sidecar may change (mutation_rules), and hands it all request headers.",
					...(exposesArm(context.resources)
						? ["EnvoyExtensionPolicy carries no context of ours, so clients are not shown their arm (exposeArm)."]
						: []),
				]
			: []),
		...(options.protocol === "ext_authz" && asked.length > 0
			? [
					"SecurityPolicy cannot ask for raw header bytes (encode_raw_headers): a unit with bytes beyond ASCII reaches the sidecar with ! in their place and is assigned as that, where every other execution treats it as no unit. Use --protocol ext_proc if such units occur.",
				]
			: []),
		...(services.some(({ judgesPrincipals }) => judgesPrincipals)
			? [
					"AccessPolicies name principals: Envoy knows one (spiffe://…) only of callers that show a certificate, so the Gateway needs a ClientTrafficPolicy with tls.clientValidation. A caller without one is denied. A certificate must have exactly one URI SAN (X.509-SVID): the sidecar gets only the first of several, or a DNS name where there is none, so a CA that signs others lets a caller choose.",
				]
			: []),
		...(context.reorders
			? [
					"The EnvoyProxy weir moves external authorisation behind token authentication. A GatewayClass or Gateway with an EnvoyProxy of its own needs the same filterOrder.",
				]
			: []),
		...gateways.flatMap((gateway) => [
			...(gateway.declared?.spec.tls
				? [
						`The certificate is to be in the Secret ${options.namespace}/${certificateSecret(gateway)} (type kubernetes.io/tls).`,
					]
				: []),
			...(gateway.declared != null && tlsFiles(gateway.declared)?.clientCaFile
				? [`The client CA is to be in the ConfigMap ${options.namespace}/${clientCaConfigMap(gateway)}, key ca.crt.`]
				: []),
		]),
		...services.flatMap(({ service: { metadata, spec } }) => {
			const who = `Service ${qualifiedName(metadata)}`;
			const conditions = (spec.retries?.on ?? []).filter((condition) => !RETRY_TRIGGERS.has(condition));
			return [
				...spec.hosts
					.filter((host) => !isHostname(host))
					.map((host) => `${who} is not reachable as ${host}: an HTTPRoute takes no IP address.`),
				...(conditions.length > 0
					? [`${who} retries on ${conditions.join(", ")}, which BackendTrafficPolicy cannot express: left out.`]
					: []),
				...(spec.healthCheck === null
					? []
					: [
							`${who} has health checks: until its first request Envoy asks every 60 s, not every ${spec.healthCheck.intervalMs / 1_000} s, for BackendTrafficPolicy has no field for it (no_traffic_interval; an EnvoyPatchPolicy has).`,
						]),
				...(spec.protocol === "http1"
					? []
					: [`${who} speaks HTTP/2: its Kubernetes Services need appProtocol kubernetes.io/h2c on the port.`]),
			];
		}),
	]);
}

function askedWarnings({ asked, options }: EnvoyGatewayContext): readonly string[] {
	return [
		"The callout is at the gateway: callers inside the cluster that go to a Variant's Service directly pass it by. Allow the Variants to the gateway's pods only (NetworkPolicy, or mTLS with its identity).",
		"The sidecar must answer by host and always name the Variant: give it a table compiled with --mode callout.",
		"socketPath" in options.sidecar
			? "The sidecar is a container in the gateway's pods (EnvoyProxy.spec.provider.kubernetes.envoyDeployment.patch), and its socket lies on a volume that both mount, 0700, same uid."
			: "The sidecar listens on a socket, or by mTLS with SVIDs of one trust domain (--listen with --identity): else as a Kubernetes Service it needs a proxy with mTLS in front, and a BackendTLSPolicy for the gateway. A socket in the gateway's pods needs neither.",
		"Envoy Gateway answers a failed callout with 403 (extAuth) or 500 (extProc) unless statusOnError sets another status; here it is 503, so that a failure is no denial.",
		"Nothing may change the route after the sidecar's answer: put no filter that recomputes routes (Lua, Wasm, another extProc) behind it, or the verdict is one on another route.",
		...(asked.some(({ passes }) => passes)
			? [
					"Services with callout.onFailure: default-variant are served without an answer when the sidecar fails; their access is open to everyone, so that nothing is decided by it.",
				]
			: []),
	];
}
