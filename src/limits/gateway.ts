/** Limits of listeners, rate limits and the built-in probe. */

/** Gateway request header limit in KiB: Envoy's own default. It also limits a unit in Envoy. */
export const GATEWAY_HEADERS_KIB = 60;

/**
 * Default idle timeout where clients need no certificate; also the request head timeout where no Service is protected.
 * Longer than the 60 s of usual load balancers in front: the side that closes first loses no request.
 */
export const GATEWAY_IDLE_MS = 75_000;

/**
 * Lifetime and idle timeout of a connection with a client certificate: half of the life of Weir's own SVIDs, because
 * Envoy checks the certificate only when the connection opens. Control uses less if its own SVID lives shorter.
 */
export const GATEWAY_CONNECTION_MS = 30 * 60 * 1000;

/** Characters of a path without its query, where policies match paths. Each prefix and template takes 80 µs for 50 KB. */
export const PATH_CHARS_MAX = 2_048;

/** Pause between two rounds of probes, with two requests per Service. */
export const PROBE_INTERVAL_MS = 30_000;

/**
 * RE2 instructions of one regular expression; Envoy's default of 100 rejects a path template of 110 letters. The longest
 * template has 512 variables of 10 instructions each (1.36.2; 1.40.0: 4).
 */
export const RE2_PROGRAM_MAX = 8_192;
