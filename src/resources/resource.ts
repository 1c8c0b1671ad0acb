/**
 * The words of Weir: what a user declares. These are the *complete* forms, after parsing: every default is
 * filled in, every percentage is an integer of parts per million (ppm), every duration is milliseconds.
 * No field is optional; "not said" is null.
 */

export const API_VERSION = "weir.dev/v1alpha1";

export type Kind = "Gateway" | "Service" | "Layer" | "Experiment" | "Metric" | "AccessPolicy";

export interface Metadata {
	readonly name: string;
	readonly namespace: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
}

/** A place where Envoy listens. Every Service is reachable through every Gateway, by host name. */
export interface Gateway {
	readonly kind: "Gateway";
	readonly metadata: Metadata;
	readonly spec: {
		readonly address: string;
		/** 0 = any free port: for `weir up` and tests. */
		readonly port: number;
		/** Adds the response header `x-weir-arm`. */
		readonly exposeArm: boolean;
		readonly tls: GatewayTls | null;
		/** Whose tokens (JWT) Envoy verifies, so that a claim can be a unit. Empty: none are looked at. */
		readonly tokens: readonly TokenIssuer[];
	};
}

/** An issuer of JSON Web Tokens that a Gateway trusts (RFC 7519), with its keys in a file (RFC 7517). */
export interface TokenIssuer {
	readonly issuer: string;
	readonly audiences: readonly string[];
	readonly jwksFile: string;
}

/** Server certificate, and the CA whose client certificates (SPIFFE SVIDs) are demanded, if any. PEM files. */
export interface GatewayTls {
	readonly certificateFile: string;
	readonly privateKeyFile: string;
	readonly clientCaFile: string | null;
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
	};
}

/** What the sidecar does for a Service, and what happens when it cannot. Without need the sidecar is never asked. */
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
}

/** One backend version of a Service. */
export interface Variant {
	readonly name: string;
	readonly endpoints: readonly Endpoint[];
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

/** A hash space. A Layer that is only named, never declared, has the default seed. */
export interface Layer {
	readonly kind: "Layer";
	readonly metadata: Metadata;
	readonly spec: {
		/** uint64 as a decimal string; null = XXH64("layer:" + qualified name, seed 0). */
		readonly seed: string | null;
	};
}

export interface Experiment {
	readonly kind: "Experiment";
	readonly metadata: Metadata;
	readonly spec: {
		/** Name of a Service in the same namespace. */
		readonly service: string;
		readonly unit: UnitSource;
		readonly layer: { readonly name: string; readonly slotLoPpm: number; readonly slotHiPpm: number };
		/** null = metadata.name, qualified by the namespace if it is not `default`. */
		readonly salt: string | null;
		readonly arms: readonly Arm[];
		readonly goal: Goal | null;
		readonly guardrails: readonly Guardrail[];
		readonly rollout: Rollout;
	};
}

/**
 * Where the unit of a request is found. claim: of a token that the Gateway verified. cookie: as sent, else one that
 * the sidecar mints and sets for so long.
 */
export type UnitSource =
	| { readonly from: "header"; readonly header: string }
	| { readonly from: "claim"; readonly claim: string }
	| { readonly from: "cookie"; readonly cookie: string; readonly maxAgeMs: number };

export interface Arm {
	readonly name: string;
	readonly variant: string;
	readonly weight: number;
	readonly baseline: boolean;
	/** Sent to the Variant as request headers `x-weir-param-NAME`. */
	readonly parameters: Readonly<Record<string, string>>;
}

/** A size of effect. absolute: in the metric's own unit (0.5pp → 0.005). relative: share of the baseline (100% → 1). */
export interface Effect {
	readonly kind: "absolute" | "relative";
	readonly value: number;
}

export interface Goal {
	readonly metric: string;
	readonly improveBy: Effect;
}

export interface Guardrail {
	readonly metric: string;
	readonly margin: Effect;
}

export interface Rollout {
	readonly stepsPpm: readonly number[];
	readonly everyMs: number;
	readonly minUnits: number;
	readonly alpha: number;
	/** null = no end. */
	readonly maxDurationMs: number | null;
	/** At maxDuration without a verdict: back to the default, or hold until a person decides. */
	readonly onInconclusive: "keep-default" | "pause";
}

export interface Metric {
	readonly kind: "Metric";
	readonly metadata: Metadata;
	readonly spec: {
		/**
		 * mean: any real outcome, by AsympCS. rate: values in [0,1], by the exact Bernoulli mixture. quantile: of
		 * the request latency, as the share of requests slower than a frozen threshold. ratio: accepted by the
		 * schema, refused in an Experiment until the inference engine supports it.
		 */
		readonly type: "mean" | "rate" | "ratio" | "quantile";
		/** outcome: rows posted to /v1/outcomes under this metric's name. latency, errors: from the access log. */
		readonly source: "outcome" | "latency" | "errors";
		readonly direction: "up" | "down";
		/** A unit's observation covers this long after its first exposure, then never changes. */
		readonly windowMs: number;
		/** Only for type quantile, e.g. 0.99. */
		readonly quantile: number | null;
		/** A unit without any outcome in its window: left out (and counted), or 0. Only for source outcome. */
		readonly missing: "exclude" | "zero";
	};
}

/** Principals are SPIFFE ids from Envoy's TLS layer. A Service selected by any policy is deny by default; deny wins. */
export interface AccessPolicy {
	readonly kind: "AccessPolicy";
	readonly metadata: Metadata;
	readonly spec: {
		readonly action: "allow" | "deny";
		/** Names of Services in the same namespace. */
		readonly services: readonly string[];
		/** Exact SPIFFE ids. Empty only for deny: everyone. */
		readonly principals: readonly string[];
		/** Empty = all. */
		readonly methods: readonly string[];
		/** Path prefixes by whole segments (`/v2` matches `/v2` and `/v2/x`, not `/v20`). Empty = all. */
		readonly pathPrefixes: readonly string[];
		/** Variants of the Services. Judged after the assignment. Empty = all. */
		readonly variants: readonly string[];
	};
}

export type Resource = Gateway | Service | Layer | Experiment | Metric | AccessPolicy;

/** A consistent set of resources, as parsed from one or more files; names are unique per kind and namespace. */
export interface ResourceSet {
	readonly gateways: readonly Gateway[];
	readonly services: readonly Service[];
	readonly layers: readonly Layer[];
	readonly experiments: readonly Experiment[];
	readonly metrics: readonly Metric[];
	readonly accessPolicies: readonly AccessPolicy[];
}

/** `name` in the namespace `default`, else `namespace/name`: salts, layer seeds, headers and the CLI use it. */
export function qualifiedName(metadata: { readonly name: string; readonly namespace: string }): string {
	return metadata.namespace === "default" ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** A unit source in words, e.g. `header x-user-id`. Two Experiments assign the same units only if these are equal. */
export function unitText(unit: UnitSource): string {
	if (unit.from === "header") return `header ${unit.header}`;
	return unit.from === "claim" ? `claim ${unit.claim}` : `cookie ${unit.cookie}`;
}

/** Where something stands in a file: 1-based line and column. */
export interface Position {
	readonly file: string;
	readonly line: number;
	readonly column: number;
}

/** One thing wrong with the declaration: what, and what to write instead. */
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
