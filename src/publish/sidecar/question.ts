/** A request for a decision and its answer, independent of the protocol. */

/** Valid only during the answer, because it reads the message's buffer. */
export interface Question {
	/** Plan version in the route; null = an Envoy that Weir did not configure. */
	readonly plan: string | null;
	/** Qualified name of the Service in the route; null = find it by host. */
	readonly service: string | null;
	/** Qualified name of the Gateway in the route; null = an Envoy that Weir did not configure. */
	readonly gateway: string | null;
	/** With the port, if the client sent one. */
	readonly host: string;
	readonly method: string;
	/** After Envoy's normalisation, with the query. */
	readonly path: string;
	/** SPIFFE id of the peer's verified certificate; null = none. */
	readonly principal: string | null;
	/** IP address of the peer; null = unknown. */
	readonly sourceAddress: string | null;
	/** SHA-256 of the peer's certificate in DER, base64url; null = unknown. Computed when it is read. */
	readonly certificateThumbprint: string | null;
	/** The client uses TLS, to this Envoy or to a proxy before it. */
	readonly secure: boolean;
	/** The native assignment; null = the sidecar assigns. */
	readonly assigned: NativeAssignment | null;
	/** Whether the Gateway shows the arm to clients. */
	readonly exposeArm: boolean;
	/**
	 * Values of a request header by lower-case name, joined by commas as in Envoy's matcher input; null if it
	 * is absent. Read as latin1, not trimmed.
	 */
	header(name: string): string | null;
	/** All values of a request header in order. */
	headerValues(name: string): readonly string[];
}

/** Forged headers: the client sent them, but only Weir may set them. They must be removed. */
export interface SentHeaders {
	/** Names of the request's x-weir- headers, lower case, in order, with repetitions. */
	readonly weirHeaders: readonly string[];
}

export interface NativeAssignment {
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly variant: string;
}

/**
 * The reason of an answer. Down to configuration-refused they are verdicts, the same in every execution. The others mean no
 * answer: Envoy applies the Service's setting for failed callouts. no-signer: no identity for a required signed decision.
 */
export type Reason =
	| "open"
	| "allowed"
	| "forbidden"
	| "no-policy-allows"
	| "not-canonical"
	| "invalid-token"
	| "verification-limited"
	| "unknown-service"
	| "configuration-refused"
	| "no-table"
	| "stale-table"
	| "no-signer"
	| "malformed"
	| "overloaded";

/** Ruling.fault in metadata: this sidecar has no key of the issuer, so all its tokens are invalid. */
export const NO_ISSUER_KEYS = "no-issuer-keys";

/**
 * The part of an answer that depends only on Service, assignment and verdict. Equal rulings of one table are the same
 * object, so that encoders and counters can cache by it.
 */
export interface Ruling {
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: Reason;
	/** AccessPolicy that decided. */
	readonly policy: string | null;
	/** Value of the response header www-authenticate for an invalid token; null = not set. */
	readonly challenge: string | null;
	/** A fault of the sidecar that refuses valid callers, for the access log only; null = none. */
	readonly fault: typeof NO_ISSUER_KEYS | null;
	/** The verdict with shadow policies in force; null = the same. */
	readonly shadow: "allow" | "deny" | null;
	readonly shadowReason: Reason | null;
	readonly shadowPolicy: string | null;
	/** Version of the table used; null = none. */
	readonly plan: string | null;
	readonly service: string | null;
	/**
	 * Experiment whose slot the unit is in, and its arm (null = the rest). During a promotion, points that were taken over
	 * count for the winner, as in the native form.
	 */
	readonly experiment: string | null;
	readonly arm: string | null;
	/** Variant that the request goes to. */
	readonly variant: string | null;
	/** Value of the request header x-weir-variant; null = not set, so the default route is used. */
	readonly variantHeader: string | null;
	/** Value of the request header x-weir-arm; null = not set. Not set where Envoy assigned natively (its route does). */
	readonly armHeader: string | null;
	/**
	 * Values of the response header x-weir-arm, in order. null = not shown, or set by Envoy. Empty = the Gateway shows arms
	 * and there is none, so an upstream's header is removed.
	 */
	readonly exposedArms: readonly string[] | null;
	/** Request headers of the arm, by full name. */
	readonly parameters: Readonly<Record<string, string>>;
}

/** The client of a trusted proxy of the Gateway. */
export interface Forwarded {
	/** SPIFFE id of the client; null = the proxy names none, or not exactly one. */
	readonly principal: string | null;
	/** SHA-256 of that client's certificate in DER, base64url; null = unknown. */
	readonly certificateThumbprint: string | null;
	/** SPIFFE id of the proxy's verified certificate. */
	readonly via: string;
}

export interface Answer {
	readonly ruling: Ruling;
	/** null = the peer is no trusted proxy, or no rules were evaluated. */
	readonly forwarded: Forwarded | null;
	/** The unit that the sidecar assigned; null = none, or Envoy assigned. */
	readonly unit: string | null;
	/** Set-Cookie value of a unit minted for this request, also for a denied one, because denials count. */
	readonly setCookie: string | null;
	/** Value of the request header x-weir-decision; null = not required. */
	readonly decision: string | null;
}
