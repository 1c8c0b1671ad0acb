/**
 * Types of the declaration after parsing: every default is filled in, percentages are parts per million (ppm), durations
 * are milliseconds. No field is optional; an absent value is null.
 */

import type { AccessPolicy, ApprovalPolicy, DataClass, ReferenceGrant, RoleBinding } from "./accessTypes.js";
import type { Experiment, Metric, UnitSource } from "./experimentTypes.js";
import type { Metadata } from "./metadata.js";

export type {
	AccessPolicy,
	ApprovalPolicy,
	ClaimRule,
	DataClass,
	OperatorVerb,
	ReferenceGrant,
	RoleBinding,
	Schedule,
} from "./accessTypes.js";
export type {
	Arm,
	Bandit,
	Cap,
	Effect,
	Experiment,
	Gate,
	Holdback,
	InferenceDesign,
	Metric,
	Rollout,
	Segment,
	UnitSource,
} from "./experimentTypes.js";

export const API_VERSION = "weir.dev/v1alpha1";

export type Kind =
	| "Gateway"
	| "Service"
	| "Layer"
	| "Experiment"
	| "Metric"
	| "AccessPolicy"
	| "DataClass"
	| "ReferenceGrant"
	| "RoleBinding"
	| "ApprovalPolicy";

/** A listener of Envoy. Every Service is reachable through every Gateway, by host name. */
export interface Gateway {
	readonly kind: "Gateway";
	readonly metadata: Metadata;
	readonly spec: {
		readonly address: string;
		/** 0 = any free port: for `weir up` and tests. */
		readonly port: number;
		/** Adds the response header `x-weir-arm`. */
		readonly exposeArm: boolean;
		/** A stream without a byte in either direction for so long is ended; of a Service with a longer timeout, at that. */
		readonly idleTimeoutMs: number;
		/**
		 * A connection without a request for so long is ended. null = GATEWAY_IDLE_MS, or where clients show certificates
		 * GATEWAY_CONNECTION_MS.
		 */
		readonly connectionIdleTimeoutMs: number | null;
		readonly tls: GatewayTls | null;
		/** SPIFFE ids of proxies that may report their client's identity (x-forwarded-client-cert). */
		readonly trustedProxies: readonly string[];
		/** Its location; AccessPolicies may name it. null = nowhere: no policy that names regions allows. */
		readonly region: string | null;
		/** Issuers whose tokens (JWT) are accepted, for units by claim and for AccessPolicies about users. */
		readonly tokens: readonly TokenIssuer[];
	};
}

/** An issuer of JSON Web Tokens that a Gateway trusts (RFC 7519), and the location of its keys (RFC 7517). */
export interface TokenIssuer {
	readonly issuer: string;
	readonly audiences: readonly string[];
	readonly keys: KeySource;
	/** at+jwt: RFC 9068 in full (typ, client_id, iat, jti, sub). jwt: any signed JWT with exp. */
	readonly profile: "jwt" | "at+jwt";
	/** A token that lives longer (exp - iat) is refused, and so is one without iat. */
	readonly maxLifetimeMs: number;
	/**
	 * Proof of possession that every token must have: dpop (RFC 9449), mtls (RFC 8705), or either. none: bearer tokens
	 * alone; one that is bound (claim cnf) is refused, because Envoy, which then judges, sees no proof.
	 */
	readonly binding: "none" | "dpop" | "mtls" | "either";
	/** Claims, as paths such as `org.tenant`, in which AccessPolicies find groups, tenant and purposes. */
	readonly groupsClaim: string;
	readonly tenantClaim: string;
	readonly purposeClaim: string;
}

/** url: https only, fetched and refreshed; caFile null = the system's trust store. */
export type KeySource =
	| { readonly from: "file"; readonly file: string }
	| { readonly from: "url"; readonly url: string; readonly caFile: string | null };

/**
 * files: PEM of the server certificate, and the CA of required client certificates (SPIFFE SVIDs), if any. identity:
 * this Envoy's own SVID and trust bundle over SDS, rotated at run time; clients must have an SVID of the mesh's own
 * trust domain.
 */
export type GatewayTls = GatewayFiles | { readonly from: "identity" };

export interface GatewayFiles {
	readonly from: "files";
	readonly certificateFile: string;
	readonly privateKeyFile: string;
	readonly clientCaFile: string | null;
	/** Accepted SPIFFE trust domains; absent = any that the CA signs for. */
	readonly trustDomains?: readonly string[];
}

export type Protocol = "http1" | "http2" | "grpc";

/** A host name that clients call through the mesh. */
export interface Service {
	readonly kind: "Service";
	readonly metadata: Metadata;
	readonly spec: {
		readonly hosts: readonly string[];
		readonly protocol: Protocol;
		/** `open`: anyone may call. null: at least one AccessPolicy selects it, deny by default. */
		readonly access: "open" | null;
		readonly defaultVariant: string;
		readonly variants: readonly Variant[];
		/** Whole-request timeout; 0 = none (streams live as long as they like). */
		readonly timeoutMs: number;
		readonly retries: Retries | null;
		readonly healthCheck: HealthCheck | null;
		readonly outlierDetection: OutlierDetection | null;
		readonly circuitBreaker: CircuitBreaker | null;
		/** Requests of a Variant with no declared endpoint: 503, or the default Variant. */
		readonly noEndpoint: "fail" | "default-variant";
		readonly callout: Callout;
		/** A DataClass, NAME or another namespace's NAMESPACE/NAME: where its data may be processed. null = anywhere. */
		readonly dataClass: string | null;
		/**
		 * The endpoints speak TLS with one of these SPIFFE ids, and Envoy shows its own SVID to them (both over SDS).
		 * null = plain text: declared (`plaintext`), to servers on Envoy's machine, or of an open Service.
		 */
		readonly identities: readonly string[] | null;
		/** Per Envoy and Gateway. */
		readonly rateLimits: RateLimits;
	};
}

/** Requests that one Envoy allows; null = no limit. Others get 429, before any signature is verified. */
export interface RateLimits {
	/** All requests of the Service. */
	readonly service: Rate | null;
	/** One limit per calling principal. It is refused if a Gateway demands no client certificates: all callers would share it. */
	readonly principal: Rate | null;
	/** One limit per tenant, which is known only after the token is verified. */
	readonly tenant: Rate | null;
}

export interface Rate {
	readonly requests: number;
	readonly perMs: number;
}

/** What the sidecar does for a Service, and what happens when it fails. The sidecar is only called if needed. */
export interface Callout {
	/** native: Envoy decides access wherever it can. sidecar: the sidecar decides each request, with reason and span. */
	readonly access: "native" | "sidecar";
	/** How long Envoy waits for the answer. */
	readonly timeoutMs: number;
	/** No answer: 503, or (only where the callout carries assignment alone) the default Variant. */
	readonly onFailure: "deny" | "default-variant";
	/** Since control last confirmed the table; beyond it access rules deny. */
	readonly maxStalenessMs: number;
	/** A table beyond that age, where it carries assignment alone: no answer, or still assign by it. */
	readonly onStale: "deny" | "assign";
	/** The sidecar signs each decision (header x-weir-decision) for the predictor to demand. Always a full callout. */
	readonly sign: boolean;
}

/** One backend version of a Service. */
export interface Variant {
	readonly name: string;
	/** Empty with a model: Weir's own predictor serves it. */
	readonly endpoints: readonly Endpoint[];
	/** `NAME@ALIAS` or `NAME@sha256:…`, as in the store of models. Control replaces an alias by the digest in force. */
	readonly model?: string;
}

export interface Endpoint {
	/** IP address or DNS name. */
	readonly address: string;
	readonly port: number;
	readonly locality: Locality | null;
}

export interface Locality {
	readonly region: string;
	readonly zone: string;
	readonly subZone: string;
}

/** Retries stay inside the Variant that the request was assigned to. */
export interface Retries {
	readonly attempts: number;
	/** Envoy retry_on conditions, e.g. `connect-failure`, `refused-stream`. */
	readonly on: readonly string[];
	/** 0 = the Service's timeout. */
	readonly perTryTimeoutMs: number;
}

export interface HealthCheck {
	/** HTTP path; null for grpc services (grpc.health.v1). */
	readonly path: string | null;
	readonly intervalMs: number;
	readonly timeoutMs: number;
	readonly healthyThreshold: number;
	readonly unhealthyThreshold: number;
}

export interface OutlierDetection {
	readonly consecutive5xx: number;
	readonly intervalMs: number;
	readonly baseEjectionTimeMs: number;
	readonly maxEjectionPercent: number;
}

export interface CircuitBreaker {
	readonly maxConnections: number;
	readonly maxPendingRequests: number;
	readonly maxRequests: number;
	readonly maxRetries: number;
}

/** A hash space. A Layer that is not declared has the default seed. */
export interface Layer {
	readonly kind: "Layer";
	readonly metadata: Metadata;
	readonly spec: {
		/** uint64 as a decimal string; null = XXH64("layer:" + qualified name, seed 0). */
		readonly seed: string | null;
	};
}

export type Resource =
	| Gateway
	| Service
	| Layer
	| Experiment
	| Metric
	| AccessPolicy
	| DataClass
	| ReferenceGrant
	| RoleBinding
	| ApprovalPolicy;

/** A consistent set of resources from one or more files; names are unique per kind and namespace. */
export interface ResourceSet {
	readonly gateways: readonly Gateway[];
	readonly services: readonly Service[];
	readonly layers: readonly Layer[];
	readonly experiments: readonly Experiment[];
	readonly metrics: readonly Metric[];
	readonly accessPolicies: readonly AccessPolicy[];
	readonly dataClasses: readonly DataClass[];
	readonly referenceGrants: readonly ReferenceGrant[];
	readonly roleBindings: readonly RoleBinding[];
	readonly approvalPolicies: readonly ApprovalPolicy[];
}

/** The PEM files of a Gateway; null without TLS or with its identity over SDS. */
export function tlsFiles({ spec: { tls } }: Gateway): GatewayFiles | null {
	return tls?.from === "files" ? tls : null;
}

/** Every caller of the Gateway must have a client certificate, so that its SPIFFE id is authenticated. */
export function demandsClientCertificates({ spec: { tls } }: Gateway): boolean {
	return tls !== null && (tls.from === "identity" || tls.clientCaFile !== null);
}

/** `name` in the namespace `default`, otherwise `namespace/name`: used in salts, layer seeds, headers and the CLI. */
export function qualifiedName(metadata: { readonly name: string; readonly namespace: string }): string {
	return metadata.namespace === "default" ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** Removes the optional prefix `default/` from user input. */
export const qualifiedText = (name: string): string => name.replace(/^default\//, "");

/** The namespace of a qualified name. */
export function namespaceOf(qualified: string): string {
	const cut = qualified.indexOf("/");
	return cut < 0 ? "default" : qualified.slice(0, cut);
}

/** A unit source as text, e.g. `header x-user-id`. Two Experiments assign the same units only if these are equal. */
export function unitText(unit: UnitSource): string {
	if (unit.from === "header") return `header ${unit.header}`;
	return unit.from === "claim" ? `claim ${unit.claim}` : `cookie ${unit.cookie}`;
}

/** A position in a file: 1-based line and column. */
export interface Position {
	readonly file: string;
	readonly line: number;
	readonly column: number;
}

/** An error in the declaration, and how to correct it. */
export interface Problem {
	readonly position: Position | null;
	readonly message: string;
	readonly hint: string;
}

/** `file:line:column: what, and what to write instead` */
export function formatProblem(problem: Problem): string {
	const at = problem.position;
	const where = at === null ? "" : `${at.file}:${at.line}:${at.column}: `;
	return `${where}${problem.message}${problem.hint === "" ? "" : `; ${problem.hint}`}`;
}
