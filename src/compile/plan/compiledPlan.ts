/**
 * The compiler's output, an immutable value: the publisher sends it, ingest recomputes arms from it, sidecars execute it and
 * `explain` prints it.
 */
import type { AccessPolicy, Problem, Segment, TokenIssuer } from "../../declare/resources/resource.js";

/** proto3 JSON of one Envoy message, with field names as in the .proto files (snake_case) and `@type` in every Any. */
export type EnvoyResource = { readonly "@type": string } & { readonly [field: string]: unknown };

/** Addresses of Envoy's access log, spans and configuration source. Paths are UNIX sockets. */
export interface Collectors {
	/** gRPC access log service; null = no access log. */
	readonly accessLogSocket: string | null;
	/** OTLP/gRPC traces; null = no tracing. */
	readonly tracesSocket: string | null;
	/** Percentage (0..100) of requests without a trace context that are traced; with one, the client decides. */
	readonly traceSamplingPercent: number;
}

export interface CompiledPlan {
	/** 16 hex digits of the XXH64 of the table: the same after a restart and on a replica. */
	readonly version: string;
	readonly envoy: EnvoyResources;
	readonly table: PlanTable;
	/** Each declared Service by qualified name, and whether it names a DataClass. */
	readonly bound: ReadonlyMap<string, boolean>;
	readonly problems: readonly Problem[];
	readonly rules: readonly RuleExecution[];
	/** Listeners have callout filters, so a bootstrap needs the sidecar's cluster. */
	readonly asksSidecar: boolean;
}

/** By xDS type. Clusters with IP endpoints are EDS clusters; DNS ones have inline endpoints. */
export interface EnvoyResources {
	readonly clusters: readonly EnvoyResource[];
	readonly endpoints: readonly EnvoyResource[];
	readonly listeners: readonly EnvoyResource[];
	/** Filter configurations that listeners name (extension.ts). */
	readonly extensions: readonly EnvoyResource[];
	readonly routes: readonly EnvoyResource[];
}

/** How one rule of the declaration is executed, for `weir explain`. */
export interface RuleExecution {
	/** e.g. `Experiment boosted-vs-logistic`. */
	readonly rule: string;
	/** null = not executed on requests. */
	readonly execution: "native" | "callout" | null;
	/** For callout: "because …". For native: how Envoy does it. */
	readonly because: string;
	/** Other facts, a line each: `["allowed by", "clerks-score"]`. */
	readonly facts?: readonly (readonly [what: string, text: string])[];
	/** null = no cost of its own. */
	readonly cost: Cost | null;
}

/** Cost of a rule per request: CPU microseconds above a plain route, and the number of values that Envoy compares. */
export interface Cost {
	/** null = Envoy cannot do it. */
	readonly nativeUs: number | null;
	/** One callout serves all rules of a Service and is paid once. null = the sidecar does not do it, e.g. for an open Service. */
	readonly calloutUs: number | null;
	/** Values in rules that Envoy tries one by one; null = none. */
	readonly values: number | null;
	/** The part of them that is compared with each item of a token's list. */
	readonly listed: number;
}

/** The executable table: JSON, no functions, no bigint. Each version is kept while a request may still name it. */
export interface PlanTable {
	readonly gateways: readonly GatewayTable[];
	readonly services: readonly ServiceTable[];
}

/** The Gateway's part of a verdict. */
export interface GatewayTable {
	/** Qualified name, as in the route's context (calloutContext.ts). */
	readonly name: string;
	readonly region: string | null;
	readonly issuers: readonly TokenIssuer[];
	/** SPIFFE ids of peers that report their client. */
	readonly trustedProxies: readonly string[];
}

export interface ServiceTable {
	/** Qualified name. */
	readonly name: string;
	/** Host names that clients call; `*.` matches any subdomain. */
	readonly hosts: readonly string[];
	readonly defaultVariant: string;
	readonly timeoutMs: number;
	readonly access: AccessTable;
	/** What the sidecar does for the Service; null = nothing, all is native. */
	readonly callout: CalloutTable | null;
	readonly experiments: readonly ExperimentTable[];
	/** Model of each Variant that has one in force: `NAME@sha256:…`. Absent = none. */
	readonly models?: Readonly<Record<string, string>>;
}

/** Who may call a Service: deny by default, deny wins; `open` and no policy = everyone. */
export interface AccessTable {
	readonly open: boolean;
	readonly policies: readonly PolicyTable[];
}

/** One AccessPolicy, under its qualified name. */
export interface PolicyTable {
	readonly name: string;
	readonly action: "allow" | "deny";
	readonly principals: readonly string[];
	readonly methods: readonly string[];
	readonly pathPrefixes: readonly string[];
	readonly variants: readonly string[];
	/** Does not decide; see AccessPolicy spec.mode. */
	readonly shadow: boolean;
	/** Rare conditions; null = none of them. */
	readonly more: MoreConditions | null;
}

/** The other conditions of AccessPolicy, under the same names. */
export type MoreConditions = Pick<
	AccessPolicy["spec"],
	| "users"
	| "groups"
	| "tenants"
	| "purposes"
	| "claims"
	| "pathTemplates"
	| "regions"
	| "schedule"
	| "validFromMs"
	| "validUntilMs"
	| "condition"
>;

/**
 * verdict: the sidecar decides access, so no answer is a denial. assignment: it chooses the arm; otherwise Envoy chooses and
 * sends the arm.
 */
export interface CalloutTable {
	readonly verdict: boolean;
	readonly assignment: boolean;
	/** Without an answer: 503, or the default Variant. */
	readonly onFailure: "deny" | "default-variant";
	readonly maxStalenessMs: number;
	readonly onStale: "deny" | "assign";
	/** Each decision is signed. */
	readonly sign: boolean;
}

/** Envoy's protocol for callouts. */
export type CalloutProtocol = "ext_authz" | "ext_proc";

export interface ExperimentTable {
	/** Qualified name. */
	readonly name: string;
	readonly unit: UnitTable;
	/** uint64 as a decimal string. */
	readonly layerSeed: string;
	readonly slotLoPpm: number;
	readonly slotHiPpm: number;
	readonly salt: string;
	/** Regions in declared order; together they cover [0, 10⁶). */
	readonly arms: readonly ArmTable[];
	/** Whether exposures count under this plan (not while promoting). */
	readonly exposing: boolean;
	/** Request headers with the segments of a unit; absent = none. */
	readonly segments?: readonly Segment[];
	/**
	 * With a bandit: the first `ppm` of each region are always live. alone: shares have moved, so only units there count as
	 * exposed. Absent = no bandit, every live unit counts.
	 */
	readonly core?: { readonly ppm: number; readonly alone: boolean };
	/** The Variant that gets the taken-over points while promoting. */
	readonly takeover: { readonly arm: string; readonly variant: string; readonly ppm: number } | null;
}

/** Source of the unit for every execution. A claim is in a header that Envoy's jwt_authn sets from a verified token. */
export type UnitTable =
	| { readonly from: "header"; readonly header: string }
	| { readonly from: "claim"; readonly header: string; readonly claim: string }
	| { readonly from: "cookie"; readonly cookie: string; readonly maxAgeMs: number };

export interface ArmTable {
	readonly name: string;
	readonly variant: string;
	readonly baseline: boolean;
	readonly loPpm: number;
	readonly hiPpm: number;
	/** The region's first `livePoints` points are live; the rest gets the default Variant. */
	readonly livePoints: number;
	/** Request headers of the arm's live share, by full name. */
	readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Envoy route names, as the access log carries them: `weir|PLAN_VERSION|SERVICE|EXPERIMENTS`, where EXPERIMENTS
 * is a comma-separated list of the experiment whose slot matched, or `-` where no unit or no slot matched.
 */
export function routeName(version: string, service: string, experiment: string | null): string {
	return `weir|${version}|${service}|${experiment ?? "-"}`;
}

export function parseRouteName(
	name: string,
): { readonly version: string; readonly service: string; readonly experiment: string | null } | null {
	const parts = name.split("|");
	if (parts.length !== 4 || parts[0] !== "weir") return null;
	const [, version, service, experiment] = parts as [string, string, string, string];
	return { version, service, experiment: experiment === "-" ? null : experiment };
}

/** Names of Envoy objects, which the access log and the CLI parse again. */
export const clusterName = (service: string, variant: string): string => `${service}/${variant}`;
export const routeConfigName = (gateway: string): string => `weir/${gateway}`;
/** Name of a part of a Gateway that is separate from its listener. No part has a slash in its own name. */
export const partName = (part: string, gateway: string): string => `${part}/${gateway}`;
/** The Gateway of a part or of a route configuration, by its name. */
export const partGateway = (name: string): string => name.slice(name.indexOf("/") + 1);
