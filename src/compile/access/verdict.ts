/** The access request and its verdict. */
import type { VerifiedToken } from "./users/token.js";

export interface AccessRequest {
	/** SPIFFE id from Envoy's TLS layer; null = the caller proved none. */
	readonly principal: string | null;
	readonly method: string;
	/** Path without query, normalised as Envoy does. */
	readonly path: string;
	/** Variant that the request is assigned to; null = not known: then no allow and every deny of Variants matches. */
	readonly variant: string | null;
	/** null = no user. An invalid token is refused earlier (invalid-token). */
	readonly token: VerifiedToken | null;
	/** Region of the Gateway that it came through; null = not known: as with the Variant. */
	readonly region: string | null;
	/** Epoch milliseconds at which it is judged. */
	readonly nowMs: number;
}

/** not-canonical: servers may read the path in different ways, and the rules match it. */
export type Verdict =
	| { readonly allowed: true; readonly reason: "open" | "allowed"; readonly policy: string | null }
	| {
			readonly allowed: false;
			readonly reason: "forbidden" | "no-policy-allows" | "not-canonical";
			readonly policy: string | null;
	  };
