/** A request of a table or log, for `weir policy test` and `weir policy diff`. */
export interface PolicyRequest {
	/** Qualified name; null = the one that has the host. */
	readonly service: string | null;
	/** As a client writes it; null = the Service is named, and reached at a proper one of its own. One of both is given. */
	readonly host: string | null;
	/** Qualified name; null = the only one that is declared, else none that is known. */
	readonly gateway: string | null;
	/** Instead of the Gateway's; null = the Gateway's. */
	readonly region: string | null;
	/** Whose certificate the caller has; at a Gateway that demands none nobody is asked for it. */
	readonly principal: string | null;
	/** Trusted proxy of the Gateway that brings it, and names the principal; null or left out = the caller's own connection. */
	readonly via?: string | null;
	/** Claims of a token that was verified (iss and sub among them); invalid = one that does not hold; null = none. */
	readonly token: Readonly<Record<string, unknown>> | "invalid" | null;
	readonly method: string;
	/** As Envoy has it after normalisation. Rules do not look at a query. */
	readonly path: string;
	/** null = the default Variant. */
	readonly variant: string | null;
	/** Epoch milliseconds. */
	readonly nowMs: number;
}
