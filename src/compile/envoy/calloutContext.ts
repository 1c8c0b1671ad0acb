/**
 * Context that a route adds to every callout: as `context_extensions` of ext_authz, or as gRPC metadata of an ext_proc
 * stream. It comes from the route configuration, so clients cannot forge it. An Envoy of another mesh sends none; then the
 * Service is found by host.
 */
export const CONTEXT = {
	/** Version of the route's plan: the sidecar answers by that table while it has it. */
	plan: "weir-plan",
	/** Qualified name of the Service. */
	service: "weir-service",
	/** Qualified name of the Gateway, whose region and token issuers are in the table. */
	gateway: "weir-gateway",
	/** `1` = the Gateway shows the arm to clients. */
	expose: "weir-expose",
	/** `1` = ext_proc needs the response headers to count by status, even if it changes none. */
	observe: "weir-observe",
	/** Native assignment: the Experiment whose slot the unit is in (absent: none). */
	experiment: "weir-experiment",
	/** Native assignment: the arm (absent: the rest). */
	arm: "weir-arm",
	/** Native assignment: the Variant that the request goes to. */
	variant: "weir-variant",
} as const;

/** Dynamic metadata namespaces of the answer: ext_proc's is under our name, ext_authz's under its own. */
export const METADATA_NAMESPACE = "weir";
export const EXT_AUTHZ_NAMESPACE = "envoy.filters.http.ext_authz";

/** HTTP filters that call the sidecar. A verdict filter never allows a request without an answer. */
export const VERDICT_FILTER = "weir.verdict";
/** Assignment only: without an answer the default Variant serves. */
export const ASSIGN_FILTER = "weir.assign";
/** The ext_proc form of both; whether a missing answer is allowed is set per Service. */
export const PROCESS_FILTER = "weir.process";
