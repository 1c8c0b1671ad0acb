/** Limits of Gateways. */

/**
 * Lifetime and idle timeout of a connection with a client certificate: half of the life of Weir's own SVIDs, because
 * Envoy checks the certificate only when the connection opens. Control uses less if its own SVID lives shorter.
 */
export const GATEWAY_CONNECTION_MS = 30 * 60 * 1000;

/** Characters of a path without its query, where policies match paths. Each prefix and template takes 80 µs for 50 KB. */
export const PATH_CHARS_MAX = 2_048;
