/** Limits of listeners: certificate lifetimes, failed handshakes. */

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
