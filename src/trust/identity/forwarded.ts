/**
 * Whether a call came through a proxy's listener. Envoy has one SVID: with it, it calls control and the sidecar by
 * itself, and the servers of Services on behalf of anybody. Who can make control's door look like such a server speaks
 * there as Envoy, so that the certificate alone does not tell the two apart; these headers do. Every listener sets both
 * on each request before any route is chosen, whatever the client sent (ConnectionManagerUtility::mutateRequestHeaders);
 * Envoy's own gRPC clients (xDS, load reports, access log, ext_authz, ext_proc) send neither, nor do Weir's commands.
 */
const SET_BY_LISTENERS = ["x-request-id", "x-forwarded-proto"] as const;

/** @param has whether the call has a header of that name, which is in small letters */
export const isForwarded = (has: (name: string) => boolean): boolean => SET_BY_LISTENERS.some(has);

/** By headers as node:http and node:http2 tell them: the names of those that say so, for words; null = none does. */
export const forwardedBy = (headers: Readonly<Record<string, unknown>>): string | null =>
	SET_BY_LISTENERS.filter((name) => headers[name] !== undefined).join(" and ") || null;

export const isForwardedRequest = (headers: Readonly<Record<string, unknown>>): boolean =>
	forwardedBy(headers) !== null;
