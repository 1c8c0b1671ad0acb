/** A request of a table or log, for `weir policy test` and `weir policy diff`. */
export interface PolicyRequest {
	/** Qualified name; null = the Service with the host. */
	readonly service: string | null;
	/** As a client sends it; null = one of the Service's own hosts. Either the host or the Service is set. */
	readonly host: string | null;
	/** Qualified name; null = the only declared Gateway, or unknown. */
	readonly gateway: string | null;
	/** Instead of the Gateway's; null = the Gateway's. */
	readonly region: string | null;
	/** SPIFFE id of the caller's certificate; ignored at a Gateway without client certificates. */
	readonly principal: string | null;
	/** The trusted proxy that forwards the request and its principal; null or absent = the caller's own connection. */
	readonly via?: string | null;
	/** Claims of a verified token, with iss and sub; invalid = an invalid token; null = none. */
	readonly token: Readonly<Record<string, unknown>> | "invalid" | null;
	readonly method: string;
	/** After Envoy's normalisation. Rules ignore the query. */
	readonly path: string;
	/** null = the default Variant. */
	readonly variant: string | null;
	/** Epoch milliseconds. */
	readonly nowMs: number;
}
