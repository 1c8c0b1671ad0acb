/**
 * Each Service as another mesh needs it: what the sidecar does for it, its Kubernetes name, and its problems. Both meshes use
 * it.
 */

import { isLoopbackHost } from "../../declare/resources/address.js";
import { PLAIN_TEXT } from "../../declare/resources/plainText.js";
import {
	type Experiment,
	type Gateway,
	type Problem,
	qualifiedName,
	type ResourceSet,
	type Service,
	type TokenIssuer,
	tlsFiles,
	type Variant,
} from "../../declare/resources/resource.js";
import { isOpen } from "../access/rules/accessTable.js";
import { accessTable, judgesPaths, judgesRegions, judgesUsers, readsUsers } from "../access/rules/policy.js";
import { isPublicKeySet } from "../envoy/keySet.js";
import { claimHeader } from "../plan/headers.js";
import { executionOf } from "../table/execution.js";
import { type MeshOptions, problem } from "./mesh.js";
import { clusterService } from "./variantEndpoints.js";

export interface MeshService {
	readonly service: Service;
	/** Name of the Service's Kubernetes objects. */
	readonly objectName: string;
	/** The sidecar is called for every request. */
	readonly asked: boolean;
	/** Without an answer the default Variant serves. Only if the callout carries assignment alone. */
	readonly passes: boolean;
	readonly judgesPaths: boolean;
	readonly judgesPrincipals: boolean;
	readonly judgesUsers: boolean;
	readonly judgesRegions: boolean;
	readonly hasShadow: boolean;
	/** Claims of verified tokens that its Experiments assign by. */
	readonly claims: readonly string[];
}

export function meshServices(resources: ResourceSet): readonly MeshService[] {
	return resources.services.map((service) => {
		const access = accessTable(service, resources.accessPolicies, resources.referenceGrants);
		const experiments = resources.experiments.filter((experiment) => isOf(experiment, service));
		const issuers = tokenIssuers(resources);
		const { callout } = executionOf({ access, callout: service.spec.callout, experiments, mode: "callout", issuers });
		return {
			service,
			objectName: objectName(service),
			// Native access is unavailable here: the sidecar judges every Service that is not open.
			asked: callout !== null || !isOpen(access),
			passes: isOpen(access) && callout?.onFailure === "default-variant",
			judgesPaths: judgesPaths(access),
			judgesPrincipals: access.policies.some(({ principals }) => principals.length > 0),
			judgesUsers: readsUsers(access),
			judgesRegions: judgesRegions(access),
			hasShadow: access.policies.some(({ shadow }) => shadow),
			claims: [...new Set(experiments.flatMap(({ spec: { unit } }) => (unit.from === "claim" ? [unit.claim] : [])))],
		};
	});
}

/** Kubernetes name of the objects of a Service; nameClashes finds names that collide. */
function objectName({ metadata: { name, namespace } }: Service): string {
	return namespace === "default" ? `weir-${name}` : `weir-${namespace}.${name}`;
}

/** Kubernetes name of a new gateway. */
export const gatewayObject = ({ metadata: { name, namespace } }: Gateway): string =>
	namespace === "default" ? `weir-${name}` : `weir-${namespace}.${name}`;

/** Whether every Gateway shows clients their arm; the declared ones count even with an existing gateway. */
export const exposesArm = ({ gateways }: ResourceSet): boolean =>
	gateways.length > 0 && gateways.every(({ spec }) => spec.exposeArm);

export const variantName = ({ objectName }: MeshService, { name }: Variant): string => `${objectName}-${name}`;

const isOf = ({ metadata, spec }: Experiment, service: Service): boolean =>
	spec.service === service.metadata.name && metadata.namespace === service.metadata.namespace;

/** The Variant, or the default one if it has no endpoint and the Service allows it; null = none. */
export function servedBy(spec: Service["spec"], variant: Variant): Variant | null {
	const fallback = spec.variants.find(({ name }) => name === spec.defaultVariant);
	const served = variant.endpoints.length === 0 && spec.noEndpoint === "default-variant" ? fallback : variant;
	return served === undefined || served.endpoints.length === 0 ? null : served;
}

/** Longest callout timeout of any Service: a mesh has one filter for all of them. */
export const longestTimeoutMs = (asked: readonly MeshService[]): number =>
	Math.max(...asked.map(({ service }) => service.spec.callout.timeoutMs));

/** Distinct issuers of all Gateways. */
export function tokenIssuers(resources: ResourceSet): readonly TokenIssuer[] {
	const issuers = resources.gateways.flatMap(({ spec }) => spec.tokens);
	return issuers.filter(({ issuer }, index) => issuers.findIndex((other) => other.issuer === issuer) === index);
}

/** Claims by their headers. */
export function claimHeaders(
	services: readonly MeshService[],
): readonly { readonly header: string; readonly claim: string }[] {
	return [...new Set(services.flatMap(({ claims }) => claims))]
		.sort()
		.map((claim) => ({ header: claimHeader(claim), claim }));
}

/** Problems that no mesh can solve. */
export function meshProblems(
	resources: ResourceSet,
	services: readonly MeshService[],
	options: MeshOptions,
): readonly Problem[] {
	return [
		...services.flatMap(failureProblems),
		...services.flatMap(identityProblems),
		...resources.gateways
			.filter(({ spec }) => spec.tls?.from === "identity")
			.map((gateway) => identityGatewayProblem(gateway, options.gateway !== null)),
		...services.flatMap(claimProblems),
		...services.flatMap(({ service }) =>
			service.spec.variants.flatMap((variant) => endpointProblems(service, variant)),
		),
		...sidecarProblems(options),
		...(options.gateway !== null || resources.gateways.length > 0
			? []
			: [problem("no Gateway is declared, and no existing one is named", "add one: kind: Gateway, or set --gateway")]),
	];

	function claimProblems({ service, claims }: MeshService): readonly Problem[] {
		if (claims.length === 0) return [];
		const who = `Service ${qualifiedName(service.metadata)} assigns by a claim`;
		const issuers = tokenIssuers(resources);
		if (issuers.length === 0)
			return [problem(`${who}, and no Gateway declares token issuers`, "add tokens to the Gateway")];
		const judged = judgesUsers(accessTable(service, resources.accessPolicies, resources.referenceGrants));
		return issuers.flatMap(({ issuer, binding, keys: source }) => {
			if (binding !== "none" && !judged) {
				return [
					problem(
						`${who}, no enforced policy of it is about users, and the mesh takes tokens of ${issuer} without their proof of possession (${binding})`,
						"name users, groups, tenants, purposes or claims in an AccessPolicy of the Service, or remove the issuer",
					),
				];
			}
			const jwksFile = source.from === "file" ? source.file : source.url;
			const keys = options.keySets[issuer];
			if (keys === undefined)
				return [problem(`${who}, and the keys of one of its issuers were not read`, `give the compiler ${jwksFile}`)];
			return isPublicKeySet(keys)
				? []
				: [
						problem(
							`the keys in ${jwksFile} are not a set of public keys, and every reader of a manifest would see them`,
							'write {"keys": […]} with public keys only (RFC 7517), and replace keys that were exposed',
						),
					];
		});
	}
}

function failureProblems({ service, asked, passes }: MeshService): readonly Problem[] {
	if (!asked || passes || service.spec.callout.onFailure === "deny") return [];
	return [
		problem(
			`Service ${qualifiedName(service.metadata)} would be served unjudged when the sidecar fails: in a mesh that is not ours the sidecar decides access`,
			"set callout.onFailure: deny, or access: open without policies",
		),
	];
}

/** A mesh has its own identities. Without Weir's SVID the endpoints would be called in plain text, or by any TLS client. */
function identityProblems({ service: { metadata, spec } }: MeshService): readonly Problem[] {
	if (spec.identities === null) return [];
	return [
		problem(
			`Service ${qualifiedName(metadata)} wants its endpoints to prove SPIFFE ids to Envoy, which manifests for this mesh cannot require`,
			`write identities: ${PLAIN_TEXT}, and let the mesh's own mTLS carry the hop`,
		),
	];
}

const identityGatewayProblem = ({ metadata }: Gateway, existing: boolean): Problem =>
	problem(
		`Gateway ${qualifiedName(metadata)} takes its certificate from an identity agent, which a gateway of this mesh does not use${existing ? "" : ": it would listen in plain text"}`,
		existing
			? "leave tls out of it: the gateway that --gateway names has its own certificate"
			: "name certificate files, or an existing gateway with --gateway",
	);

/** Names of the Services that are not open; empty = none. */
export const protectedNames = (services: readonly MeshService[]): string =>
	services
		.filter(({ service }) => service.spec.access !== "open")
		.map(({ service }) => qualifiedName(service.metadata))
		.join(", ");

/** Features that are lost or differ in any mesh; each only if it applies. */
export function accessWarnings(services: readonly MeshService[], gateways: readonly Gateway[]): readonly string[] {
	const proxied = gateways.filter(({ spec }) => spec.trustedProxies.length > 0);
	const bounded = gateways.filter((gateway) => tlsFiles(gateway)?.trustDomains !== undefined);
	const named = (of: (service: MeshService) => boolean): string =>
		services
			.filter(of)
			.map(({ service }) => qualifiedName(service.metadata))
			.join(", ");
	const [users, regions, dryRun, limited] = [
		named((one) => one.judgesUsers),
		named((one) => one.judgesRegions),
		named((one) => one.hasShadow && !one.asked),
		named(({ service }) => Object.values(service.spec.rateLimits).some((rate) => rate !== null)),
	];
	return [
		...(proxied.length === 0
			? []
			: [
					`trustedProxies (of ${proxied.map(({ metadata }) => qualifiedName(metadata)).join(", ")}) are trusted only by Weir's own Envoys: here the client is the peer of the connection.`,
				]),
		...(bounded.length === 0
			? []
			: [
					`tls.trustDomains (of ${bounded.map(({ metadata }) => qualifiedName(metadata)).join(", ")}) are enforced only by Weir's own Envoys: here the gateway takes any trust domain that its client CA signs for.`,
				]),
		...(users === ""
			? []
			: [
					`Policies judge users of ${users}: the sidecar verifies the tokens itself, so it must be shown the request headers authorization and dpop, and reach the issuers' keys. It gets no certificate, so tokens that are bound to one are refused.`,
				]),
		...(regions === ""
			? []
			: [
					`Policies of ${regions} name regions of a Gateway, which a gateway of this mesh does not send: allows with regions never match, denials with regions always do.`,
				]),
		...(dryRun === ""
			? []
			: [`Shadow policies of the open Service ${dryRun} are not tried here: the sidecar is not asked about it.`]),
		...(limited === "" ? [] : [`Rate limits of ${limited} do not apply here: declare the mesh's own.`]),
	];
}

function endpointProblems(service: Service, { name, endpoints }: Variant): readonly Problem[] {
	const what = `Variant ${name} of Service ${qualifiedName(service.metadata)}`;
	return endpoints.flatMap(({ address }) => {
		if (isLoopbackHost(address))
			return [
				problem(
					`${what} is at ${address}, which in a mesh is the gateway's own pod`,
					"write the DNS name of a Kubernetes Service, such as NAME.NAMESPACE.svc.cluster.local",
				),
			];
		if (!address.includes(".") && !address.includes(":"))
			return [
				problem(
					`${what} is at ${address}, a short name that each mesh completes in its own way`,
					"write the full DNS name, such as NAME.NAMESPACE.svc.cluster.local",
				),
			];
		return [];
	});
}

function sidecarProblems({ sidecar }: MeshOptions): readonly Problem[] {
	if ("socketPath" in sidecar)
		return sidecar.socketPath.startsWith("/")
			? []
			: [problem("the sidecar's socket is not an absolute path", "write a path that begins with /")];
	return clusterService(sidecar.host) !== null
		? []
		: [
				problem(
					`the sidecar's host ${sidecar.host} is not a Kubernetes Service`,
					"write NAME.NAMESPACE.svc.cluster.local, or a socket in the gateway's pod",
				),
			];
}
