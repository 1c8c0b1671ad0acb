/** Limits of listeners: unauthenticated connections, certificate lifetimes, unread bodies. */

/** Unauthenticated connections of one listener. Beyond it the oldest is closed, first of the address that has the most. */
export const UNAUTHENTICATED_CONNECTIONS_MAX = 1_024;

/** Timeout of a TLS handshake: three packets, on a slow line or a busy process. */
export const UNAUTHENTICATED_CONNECTION_MS = 5_000;

/** How long an authenticated connection may send no first request, where the listener sees requests. */
export const REQUESTLESS_CONNECTION_MS = 30_000;

/** How long the rest of a rejected body is read and discarded, so that the client can read the response. */
export const UNREAD_BODY_MS = 2_000;

/** How often a listener checks for expired connections. */
export const CONNECTIONS_CHECK_MS = 1_000;

/** Idle time before a connection with an expiring certificate is closed, so that it is not closed between two requests. */
export const CONNECTION_QUIET_MS = 100;

/**
 * Streams that one TCP connection to xds or the access log may open at once, and per second; beyond it the connection is
 * closed. A starting Envoy opens ACCESS_LOG_STREAMS_MAX, and retries each refused one every second.
 */
export const STREAMS_OPENED_AT_ONCE_MAX = 300;
export const STREAMS_OPENED_PER_SECOND_MAX = 100;

/**
 * A connection is drained this long before its peer's certificate expires, or this share of the remaining life if that
 * is less. Peers renew SVIDs at half of their life.
 */
export const PEER_RENEWAL_MS = 60_000;
export const PEER_RENEWAL_SHARE = 0.25;

/**
 * Envoy's idle timeout for upstreams that check its certificate. Less than PEER_RENEWAL_MS, so that no idle connection
 * outlives its certificate.
 */
export const MTLS_UPSTREAM_IDLE_MS = PEER_RENEWAL_MS - 10_000;

/**
 * Failed handshakes are recorded once in this time per listener and reason, with a count. A port scan must not evict
 * other records.
 */
export const HANDSHAKE_FAULTS_RECORDED_MS = 60_000;

/** Distinct names recorded in refusals of one SPIFFE id: Gateways (unverified) of streams, and Metrics of outcomes. */
export const REFUSED_NAMES_MAX = 20;

/**
 * Requests of one authenticated client to one server: concurrent, and per window. A team's senders may share an
 * identity; each request may hold a body of 4 MiB.
 */
export const CLIENT_REQUESTS_AT_ONCE_MAX = 32;
export const CLIENT_REQUESTS_MAX = 2_000;
export const CLIENT_REQUESTS_WINDOW_SECONDS = 10;

/** A separate quota for aborts, pauses and rollbacks. */
export const CLIENT_STOPS_AT_ONCE_MAX = 8;
export const CLIENT_STOPS_MAX = 100;
