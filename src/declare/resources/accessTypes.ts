/** Types of access declarations, with all defaults filled in. Import them from resource.ts. */
import type { Metadata } from "./metadata.js";

/**
 * Which callers may call which Services. A Service that an enforced policy selects denies by default; deny wins. All
 * conditions of a policy must hold; an empty list is no condition. An allow must name principals, or a property of a
 * token.
 */
export interface AccessPolicy {
	readonly kind: "AccessPolicy";
	readonly metadata: Metadata;
	readonly spec: {
		readonly action: "allow" | "deny";
		/** shadow: decides nothing; what it would change is counted and reported. */
		readonly mode: "enforce" | "shadow";
		/** Names of Services; `*` = all of the same namespace; NAMESPACE/NAME = another namespace's, which must grant it. */
		readonly services: readonly string[];
		/** Only those of the Services that have one of these DataClasses. */
		readonly dataClasses: readonly string[];
		/** SPIFFE ids from Envoy's TLS layer: exact, or all below one by whole segments (`spiffe://td/ns/a/*`), `*` = any, or `anyone` = those too who prove none. */
		readonly principals: readonly string[];
		/** `ISSUER#SUB` of a verified token, split at the first `#`; `ISSUER#*` = all of its users, `*` = any. */
		readonly users: readonly string[];
		/** One of them is in the issuer's groupsClaim; likewise tenants and purposes. */
		readonly groups: readonly string[];
		readonly tenants: readonly string[];
		readonly purposes: readonly string[];
		/** Each of them must hold. */
		readonly claims: readonly ClaimRule[];
		readonly methods: readonly string[];
		/** Path prefixes by whole segments (`/v2` matches `/v2` and `/v2/x`, not `/v20`). */
		readonly pathPrefixes: readonly string[];
		/** Whole paths with `{name}` for exactly one segment (`/v2/models/{model}/infer`). With prefixes: either. */
		readonly pathTemplates: readonly string[];
		/** Variants of the Services. Judged after the assignment. */
		readonly variants: readonly string[];
		/** Regions of the Gateway that the request came through. */
		readonly regions: readonly string[];
		readonly schedule: Schedule | null;
		/** Epoch milliseconds, from inclusive, until exclusive; null = unbounded. */
		readonly validFromMs: number | null;
		readonly validUntilMs: number | null;
		/** A CEL expression that must be true; an error is no match for allow and a match for deny. */
		readonly condition: string | null;
	};
}

/** A claim (a path such as `org.tenant`) equals one of the values, or is a list that contains one. Strings only. */
export interface ClaimRule {
	readonly claim: string;
	readonly values: readonly string[];
}

/** Minutes of the day, from inclusive, until exclusive, in an IANA time zone; until <= from spans midnight. */
export interface Schedule {
	readonly timezone: string;
	/** 1 = Monday … 7 = Sunday (ISO 8601), of the day on which the window begins. */
	readonly days: readonly number[];
	readonly fromMinute: number;
	readonly untilMinute: number;
}

/**
 * Resources of this namespace that other namespaces may reference: Services by AccessPolicies, DataClasses by Services.
 * All others are private. A deleted grant revokes its references.
 */
export interface ReferenceGrant {
	readonly kind: "ReferenceGrant";
	readonly metadata: Metadata;
	readonly spec: {
		readonly from: readonly { readonly kind: "AccessPolicy" | "Service"; readonly namespace: string }[];
		/** name null = all of the kind. */
		readonly to: readonly { readonly kind: "Service" | "DataClass"; readonly name: string | null }[];
	};
}

/** Regions where data of a class may be processed: Envoy gets no endpoint outside of them. */
export interface DataClass {
	readonly kind: "DataClass";
	readonly metadata: Metadata;
	readonly spec: { readonly regions: readonly string[] };
}

export type OperatorVerb = "read" | "apply" | "promote" | "abort" | "approve" | "admin";

/** Permissions of operators. promote includes pause and resume; admin includes bindings and approval policies. */
export interface RoleBinding {
	readonly kind: "RoleBinding";
	readonly metadata: Metadata;
	readonly spec: {
		readonly verbs: readonly OperatorVerb[];
		/** SPIFFE ids, `ISSUER#SUB` of a verified token, or `group:NAME`. */
		readonly subjects: readonly string[];
		/** `*` = all. */
		readonly namespaces: readonly string[];
	};
}

/** Operations that a second person must approve first. */
export interface ApprovalPolicy {
	readonly kind: "ApprovalPolicy";
	readonly metadata: Metadata;
	readonly spec: {
		readonly verbs: readonly ("apply" | "promote" | "abort")[];
		readonly namespaces: readonly string[];
		/** Number of operators, other than the one who asks, who must approve. */
		readonly approvals: number;
		readonly expireMs: number;
	};
}
