/** Limits of listeners, rate limits and the built-in probe. */

/** Gateway request header limit in KiB: Envoy's own default. It also limits a unit in Envoy. */
export const GATEWAY_HEADERS_KIB = 60;

/**
 * For a Gateway that protects a Service (security reference 6). headers: browsers send 30, Envoy's default is 100.
 * headersMs: limits slow request heads. streams and windows: limit rapid resets and floods (CVE-2023-44487), 1 MiB
 * unread per HTTP/2 connection.
 */
export const GATEWAY_HARDENING = {
	headers: 100,
	headersMs: 5_000,
	streams: 100,
	streamWindowBytes: 65_536,
	connectionWindowBytes: 1_048_576,
} as const;

/** Timeout of a client's TLS handshake: two round trips and retransmissions. */
export const GATEWAY_HANDSHAKE_MS = 10_000;

/**
 * Default idle timeout where clients need no certificate; also the request head timeout where no Service is protected.
 * Longer than the 60 s of usual load balancers in front: the side that closes first loses no request.
 */
export const GATEWAY_IDLE_MS = 75_000;

/** Range of a Gateway's idle timeout: above the 4,000 s of the longest load balancer (AWS ALB). */
export const GATEWAY_IDLE_MS_MIN = 1_000;
export const GATEWAY_IDLE_MS_MAX = 70 * 60 * 1000;

/**
 * Lifetime and idle timeout of a connection with a client certificate: half of the life of Weir's own SVIDs, because
 * Envoy checks the certificate only when the connection opens. Control uses less if its own SVID lives shorter.
 */
export const GATEWAY_CONNECTION_MS = 30 * 60 * 1000;

/**
 * Client connections to one Envoy, all listeners together. It closes more at once, so that a flood cannot take all
 * memory and descriptors.
 */
export const GATEWAY_CONNECTIONS_MAX = 50_000;

/**
 * Client connections to one Gateway: a flood of one public Gateway leaves 10,000 to the others. Not divided by the
 * number of Gateways: each new Gateway would then change and drain every listener.
 */
export const GATEWAY_CONNECTIONS_EACH_MAX = 40_000;

/** Buckets of principals or tenants per rate limit and Envoy: about 200 bytes each. */
export const RATE_LIMIT_BUCKETS_MAX = 10_000;

/** Characters of a path without its query, where policies match paths. Each prefix and template takes 80 µs for 50 KB. */
export const PATH_CHARS_MAX = 2_048;

/** Timeout of one probe, which is local. */
export const PROBE_TIMEOUT_MS = 5_000;

/** Longest response that a probe accepts as a denial of Weir. */
export const PROBE_ANSWER_CHARS_MAX = 1_024;

/** Services of one Gateway that are probed concurrently, with a connection each. */
export const PROBES_AT_ONCE = 8;

/** Pause before a suspected bypass is probed again: Envoy may take a moment to apply a change. */
export const PROBE_AGAIN_MS = 3_000;

/** Timeout of one request to Envoy's admin: all counters take 2 s for 4,000 Services at four Gateways on a busy machine. */
export const ADMIN_ANSWER_MS = 20_000;

/** Pause between two rounds of probes, with two requests per Service. */
export const PROBE_INTERVAL_MS = 30_000;

/** An Envoy without a verdict or report for three intervals has failed the probe. */
export const PROBE_LATE_MS = 3 * PROBE_INTERVAL_MS;

/** How long `weir probe` waits for an Envoy's report. */
export const PROBE_WAIT_MS = 20_000;

/** Pause before an agent reconnects to control. */
export const PROBE_RETRY_MS = 1_000;

/** Probe rate of a rate-limited Service, and its burst. Requests beyond it are not control's. */
export const PROBE_BUCKET_EVERY_MS = 100;
export const PROBE_BUCKET_MORE = 10;

/**
 * RE2 instructions of one regular expression; Envoy's default of 100 rejects a path template of 110 letters. The longest
 * template has 512 variables of 10 instructions each (1.36.2; 1.40.0: 4).
 */
export const RE2_PROGRAM_MAX = 8_192;
