/** Limits of listeners: unauthenticated connections, certificate lifetimes, unread bodies. */

/** How long an authenticated connection may send no first request, where the listener sees requests. */
export const REQUESTLESS_CONNECTION_MS = 30_000;

/**
 * A connection is drained this long before its peer's certificate expires, or this share of the remaining life if that
 * is less. Peers renew SVIDs at half of their life.
 */
export const PEER_RENEWAL_MS = 60_000;
export const PEER_RENEWAL_SHARE = 0.25;

/**
 * Failed handshakes are recorded once in this time per listener and reason, with a count. A port scan must not evict
 * other records.
 */
export const HANDSHAKE_FAULTS_RECORDED_MS = 60_000;
