/**
 * Detects requests that an Envoy listener forwarded. Envoy uses one SVID for its own calls to Weir and for requests of
 * clients, so an endpoint that points at Weir would receive clients' requests with Envoy's identity. Each listener sets both
 * headers before routing (ConnectionManagerUtility::mutateRequestHeaders); Envoy's own gRPC clients (xDS, load reports,
 * access log, ext_authz, ext_proc) and Weir's commands send neither.
 */
const SET_BY_LISTENERS = ["x-request-id", "x-forwarded-proto"] as const;

/** @param has whether the call has the header, given in lower case */
export const isForwarded = (has: (name: string) => boolean): boolean => SET_BY_LISTENERS.some(has);

/** The names of the forwarding headers, for messages; null = none. Takes headers of node:http and node:http2. */
export const forwardedBy = (headers: Readonly<Record<string, unknown>>): string | null =>
	SET_BY_LISTENERS.filter((name) => headers[name] !== undefined).join(" and ") || null;

export const isForwardedRequest = (headers: Readonly<Record<string, unknown>>): boolean =>
	forwardedBy(headers) !== null;
