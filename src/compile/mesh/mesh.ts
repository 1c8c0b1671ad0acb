/**
 * Types shared by the mesh compilers: options, output, and common manifest fields. A mesh runs its own Envoys, so each
 * Service that needs the sidecar is in full callout.
 */
import type { Problem } from "../../declare/resources/resource.js";
import type { CalloutProtocol } from "../plan/compiledPlan.js";

/** Address of the sidecar for the mesh: a Kubernetes Service by its full DNS name, or a socket in the gateway's pod. */
export type SidecarAddress = { readonly host: string; readonly port: number } | { readonly socketPath: string };

export interface MeshOptions {
	readonly protocol: CalloutProtocol;
	readonly sidecar: SidecarAddress;
	/** Kubernetes namespace of every manifest; for Istio it must be that of the gateway's pods. */
	readonly namespace: string;
	/** An existing gateway as `namespace/name`, or `name` in the same namespace; null = a new one. */
	readonly gateway: string | null;
	/** Istio: labels of the gateway's pods. */
	readonly gatewayLabels: Readonly<Record<string, string>>;
	/** Envoy Gateway: the GatewayClass of a new gateway. */
	readonly gatewayClass: string;
	/** The text of each issuer's JWKS, by issuer: a compiler reads no files. */
	readonly keySets: Readonly<Record<string, string>>;
}

/** Defaults from the projects' own guides. */
export const ISTIO_GATEWAY_LABELS: Readonly<Record<string, string>> = { istio: "ingressgateway" };
export const ENVOY_GATEWAY_CLASS = "eg";

export interface MeshOutput {
	/** In the order for `kubectl apply`: guards come before their routes. */
	readonly manifests: readonly Manifest[];
	/** The operator merges them into an existing configuration: applying them would replace it. */
	readonly fragments: readonly Fragment[];
	/** What the mesh cannot express, or does unexpectedly; one or two sentences each. */
	readonly warnings: readonly string[];
	/** The manifests must not be used if there is a problem. */
	readonly problems: readonly Problem[];
}

/** A part of a mesh's own configuration. */
export interface Fragment {
	readonly into: string;
	readonly value: object;
}

/** A Kubernetes object, as YAML or JSON would hold it. */
export interface Manifest {
	readonly apiVersion: string;
	readonly kind: string;
	readonly metadata: { readonly name: string; readonly namespace: string };
	readonly spec: object;
}

export const manifest = (
	[apiVersion, kind]: readonly [apiVersion: string, kind: string],
	metadata: Manifest["metadata"],
	spec: object,
): Manifest => ({ apiVersion, kind, metadata, spec });

/** @param gateway `namespace/name`, or `name` in the given namespace */
export function gatewayName(gateway: string, namespace: string): Manifest["metadata"] {
	const slash = gateway.indexOf("/");
	return slash === -1
		? { name: gateway, namespace }
		: { name: gateway.slice(slash + 1), namespace: gateway.slice(0, slash) };
}

export const problem = (message: string, hint: string): Problem => ({ position: null, message, hint });

/** Two declared names with one Kubernetes name would overwrite each other on apply. */
export function nameClashes(manifests: readonly Manifest[]): readonly Problem[] {
	const key = ({ apiVersion, kind, metadata }: Manifest) =>
		`${apiVersion} ${kind} ${metadata.namespace}/${metadata.name}`;
	const seen = new Set<string>();
	return manifests.flatMap((one) => {
		if (!seen.has(key(one))) {
			seen.add(key(one));
			return [];
		}
		return [
			problem(
				`two resources would become the same ${one.kind} ${one.metadata.namespace}/${one.metadata.name}`,
				"rename one of the Services or Variants",
			),
		];
	});
}

/** Distinct texts in order. */
export const distinct = (texts: readonly string[]): readonly string[] => [...new Set(texts)];
