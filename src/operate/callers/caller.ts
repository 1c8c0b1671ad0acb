/** Who calls. */
export interface Caller {
	/** SPIFFE id, `ISSUER#SUB` of a verified token, or `local:USER` of the UNIX socket. */
	readonly subject: string;
	/** The groups of the verified token; empty for other callers. */
	readonly groups: readonly string[];
	readonly how: "socket" | "mtls" | "oidc";
}
