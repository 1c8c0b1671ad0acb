/**
 * The words of access: what a user declares about callers, data and operators. Complete forms, as in resource.ts, which
 * gives them on: import them from there.
 */
import type { Metadata } from "./metadata.js";

/**
 * Who may call which Service. A Service that any enforced policy selects is deny by default; deny wins. All conditions
 * of one policy must hold; an empty list is no condition. An allow names somebody: principals, or something of a token.
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

/** A claim (a path such as `org.tenant`) is one of the values, or a list that holds one of them. Texts only. */
export interface ClaimRule {
	readonly claim: string;
	readonly values: readonly string[];
}

/** Minutes of the day, from inclusive, until exclusive, in an IANA time zone; until <= from goes over midnight. */
export interface Schedule {
	readonly timezone: string;
	/** 1 = Monday … 7 = Sunday (ISO 8601), of the day on which the window begins. */
	readonly days: readonly number[];
	readonly fromMinute: number;
	readonly untilMinute: number;
}

/**
 * What resources of other namespaces may name in this one. Kinds that can: an AccessPolicy names Services, a Service names
 * its DataClass. Whatever is not granted stays its namespace's own; what was granted ends with the grant.
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

/** Where data of a class may be processed: no endpoint outside these regions is ever given to an Envoy. */
export interface DataClass {
	readonly kind: "DataClass";
	readonly metadata: Metadata;
	readonly spec: { readonly regions: readonly string[] };
}

export type OperatorVerb = "read" | "apply" | "promote" | "abort" | "approve" | "admin";

/** What operators may do. promote holds pause and resume too; admin: bindings and approval policies themselves. */
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

/** Acts that a second person must approve before they happen. */
export interface ApprovalPolicy {
	readonly kind: "ApprovalPolicy";
	readonly metadata: Metadata;
	readonly spec: {
		readonly verbs: readonly ("apply" | "promote" | "abort")[];
		readonly namespaces: readonly string[];
		/** Of others than who asks. */
		readonly approvals: number;
		readonly expireMs: number;
	};
}
