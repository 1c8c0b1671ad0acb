/**
 * One request as the sidecar is asked about it, whatever protocol it came by, and the answer. Wire forms stay in
 * checkRequest.ts, checkResponse.ts and the processing files.
 */

/** Valid only while it is being answered: what it reads are the bytes of the message. */
export interface Question {
	/** Plan version that the route names; null where an Envoy that is not ours asks. */
	readonly plan: string | null;
	/** Qualified name of the Service, as the route names it; null = find it by host. */
	readonly service: string | null;
	/** Qualified name of the Gateway, as the route names it; null where an Envoy that is not ours asks. */
	readonly gateway: string | null;
	/** With the port, where the client wrote one. */
	readonly host: string;
	readonly method: string;
	/** As Envoy has it after normalisation, query included. */
	readonly path: string;
	/** SPIFFE id from Envoy's TLS layer; null = none was proved. */
	readonly principal: string | null;
	/** IP address of the peer, without its port; null where it is not told. */
	readonly sourceAddress: string | null;
	/** SHA-256 of the peer's certificate in DER, base64url; null = it is not told. Made when it is read. */
	readonly certificateThumbprint: string | null;
	/** The client speaks TLS, to this Envoy or to a proxy before it. */
	readonly secure: boolean;
	/** Envoy has assigned natively; null = the sidecar is to assign. */
	readonly assigned: NativeAssignment | null;
	/** The Gateway shows the arm to clients. */
	readonly exposeArm: boolean;
	/**
	 * Values of a request header by lower-case name, joined by a comma as Envoy's matcher input joins them; null where
	 * it is absent. Bytes are read one to one (latin1); nothing is trimmed.
	 */
	header(name: string): string | null;
	/** Each value of a request header apart, in order. */
	headerValues(name: string): readonly string[];
}

/** What the client sent that only Weir may say; no part of the decision, but the request must lose it. */
export interface SentHeaders {
	/** Names of the request's own x-weir- headers, lower case, in order, repeated ones once each time. */
	readonly weirHeaders: readonly string[];
}

export interface NativeAssignment {
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly variant: string;
}

/**
 * Why. Down to configuration-refused they are verdicts, the same in every execution. The others are no answer: Envoy then does
 * what the Service says for a failed callout. no-signer: a signed decision is demanded, and there is no identity to sign with.
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

/** Ruling.fault, as metadata say it: no token of the issuer can hold, as this sidecar has no key of it. */
export const NO_ISSUER_KEYS = "no-issuer-keys";

/**
 * All of an answer that does not depend on who asks beyond where the unit lies. There are few, and equal ones of one
 * table are the same object, so that encoders and counters keep by it what they made of it.
 */
export interface Ruling {
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: Reason;
	/** AccessPolicy that decided. */
	readonly policy: string | null;
	/** Value of the response header www-authenticate of a token that does not hold; null = not set. */
	readonly challenge: string | null;
	/** What here makes honest callers be refused, for the access log alone; null = nothing. */
	readonly fault: typeof NO_ISSUER_KEYS | null;
	/** What the verdict would be with the shadow policies in force, why, and which would decide; null = the same. */
	readonly shadow: "allow" | "deny" | null;
	readonly shadowReason: Reason | null;
	readonly shadowPolicy: string | null;
	/** Version of the table by which it was answered; null where there is none. */
	readonly plan: string | null;
	readonly service: string | null;
	/**
	 * Experiment whose slot the unit is in, and the arm whose entry serves it (null = the rest). While promoting, the
	 * winner's on points that are taken over, as in the native form.
	 */
	readonly experiment: string | null;
	readonly arm: string | null;
	/** Variant that the request goes to. */
	readonly variant: string | null;
	/** Value of the request header x-weir-variant; null = not set: the default route serves. */
	readonly variantHeader: string | null;
	/** Value of the request header x-weir-arm; null = not set. Not set where Envoy assigned natively (its route does). */
	readonly armHeader: string | null;
	/**
	 * Values of the response header x-weir-arm, in order. null = it is none of the sidecar's: not shown, or
	 * set by Envoy. Empty = the Gateway shows arms and there is none, so an upstream's own must not pass for ours.
	 */
	readonly exposedArms: readonly string[] | null;
	/** Request headers of the arm, by full name. */
	readonly parameters: Readonly<Record<string, string>>;
}

/** A trusted proxy of the Gateway has asked for its client. */
export interface Forwarded {
	/** SPIFFE id of the client, which was judged; null = the proxy names none, or not exactly one. */
	readonly principal: string | null;
	/** SHA-256 of that client's certificate in DER, base64url; null = the proxy does not tell it. */
	readonly certificateThumbprint: string | null;
	/** SPIFFE id of the proxy, as its connection has proved it. */
	readonly via: string;
}

export interface Answer {
	readonly ruling: Ruling;
	/** null = the connection's peer asks for itself, or nobody was judged. */
	readonly forwarded: Forwarded | null;
	/** The unit that was assigned here; null = none, or Envoy assigned. */
	readonly unit: string | null;
	/** Set-Cookie value of a unit that was minted for this request; denied requests carry it too, as they count. */
	readonly setCookie: string | null;
	/** Value of the request header x-weir-decision; null = none is demanded. */
	readonly decision: string | null;
}
