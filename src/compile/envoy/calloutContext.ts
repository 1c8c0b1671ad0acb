/**
 * What a route of ours tells the sidecar with every request: as `context_extensions` of ext_authz, or as gRPC
 * metadata of an ext_proc stream. It comes from the route configuration, so no client can forge it. An Envoy that
 * is not ours tells nothing; then the Service is found by host.
 */
export const CONTEXT = {
	/** Version of the plan that the route is of: the sidecar answers by that table while it holds it. */
	plan: "weir-plan",
	/** Qualified name of the Service. */
	service: "weir-service",
	/** Qualified name of the Gateway: its region and its token issuers are in the table. */
	gateway: "weir-gateway",
	/** `1` = the Gateway shows the arm to clients. */
	expose: "weir-expose",
	/** `1` = ext_proc is to see the response's headers even where it changes none, to count by status. */
	observe: "weir-observe",
	/** Native assignment: the Experiment whose slot the unit is in (absent: none). */
	experiment: "weir-experiment",
	/** Native assignment: the arm (absent: the rest). */
	arm: "weir-arm",
	/** Native assignment: the Variant that the request goes to. */
	variant: "weir-variant",
} as const;

/** Where the answer lies in the request's dynamic metadata: ext_proc's under our name, ext_authz's under its own. */
export const METADATA_NAMESPACE = "weir";
export const EXT_AUTHZ_NAMESPACE = "envoy.filters.http.ext_authz";

/** HTTP filters that ask the sidecar. One that carries a verdict never lets a request pass unanswered. */
export const VERDICT_FILTER = "weir.verdict";
/** Carries assignment alone: without an answer the default Variant serves. */
export const ASSIGN_FILTER = "weir.assign";
/** ext_proc form of both; whether it may pass unanswered is set per Service. */
export const PROCESS_FILTER = "weir.process";
