/** Limits of xDS and load reports. */

/**
 * How long control waits for an Envoy's ACK. Most take milliseconds, but Envoy ACKs clusters only when they are warm (first
 * DNS response or health check, endpoints at the latest after its initial_fetch_timeout of 15 s), and a route to a
 * cluster that is not warm fails its requests.
 */
export const XDS_ACK_TIMEOUT_MS = 20_000;

/** Open ADS streams, or load reporting streams: one per Envoy. Further ones are refused. */
export const XDS_STREAMS_MAX = 1_000;

/**
 * TCP connections of authenticated peers to xds or to the access log: an Envoy opens its next one before it closes the
 * last.
 */
export const XDS_CONNECTIONS_MAX = 2 * XDS_STREAMS_MAX;

/** A client that disappeared without closing its TCP connection is detected in the sum of these two. */
export const XDS_KEEPALIVE_MS = 30_000;
export const XDS_KEEPALIVE_ANSWER_MS = 10_000;

/**
 * How long a removed cluster keeps its last endpoints until routes stop using it: usually milliseconds. An Envoy that
 * waits for other clusters takes longer and must not send to removed endpoints.
 */
export const XDS_LEAVING_MS = 2_000;
