/** Bounds of listeners, rate limits and the built-in probe. */

/** Gateway request header limit in KiB: Envoy's own default, and so the longest unit of the native form. */
export const GATEWAY_HEADERS_KIB = 60;

/**
 * Of a Gateway that protects a Service (security reference 6). Headers: browsers send some 30, and Envoy's default is 100.
 * headersMs: a slow head holds a connection for no longer. streams and windows: what one HTTP/2 connection may keep open
 * and unread, 100 × 64 KiB at most 1 MiB of it at once, against rapid resets and floods (CVE-2023-44487).
 */
export const GATEWAY_HARDENING = {
	headers: 100,
	headersMs: 5_000,
	streams: 100,
	streamWindowBytes: 65_536,
	connectionWindowBytes: 1_048_576,
} as const;

/** How long a client of a Gateway may take for its TLS handshake: two round trips, and what is lost on a bad line. */
export const GATEWAY_HANDSHAKE_MS = 10_000;

/**
 * How long a connection without a request lies idle where clients need no certificate, from its first byte on, unless the
 * Gateway says otherwise; a request's head may take as long where no Service is protected. Longer than the 60 s after which
 * the usual load balancers in front leave a connection: who closes first loses no request of the other.
 */
export const GATEWAY_IDLE_MS = 75_000;

/** The ends of what a Gateway may say: above the 4,000 s for which the most patient balancer (AWS ALB) keeps a connection. */
export const GATEWAY_IDLE_MS_MIN = 1_000;
export const GATEWAY_IDLE_MS_MAX = 70 * 60 * 1000;

/**
 * How long a connection that was opened with a client certificate is used, and how long it may lie idle: half of the life
 * of an SVID of our own CA. Envoy looks at the certificate when the connection is opened and never again. Control takes
 * less where its own SVID lives for less.
 */
export const GATEWAY_CONNECTION_MS = 30 * 60 * 1000;

/**
 * Connections of clients to one Envoy, all listeners together; further ones are closed at once: a flood must not take all
 * memory and descriptors of the process. Silent ones of listeners with TLS are gone after GATEWAY_HANDSHAKE_MS.
 */
export const GATEWAY_CONNECTIONS_MAX = 50_000;

/**
 * Of these, how many one Gateway may hold: strangers at one that is open to all leave 10,000 to the others, those at two do
 * not. Shares by the number of Gateways would change each listener, and so drain its connections, with every new Gateway.
 */
export const GATEWAY_CONNECTIONS_EACH_MAX = 40_000;

/** Buckets of principals or tenants that one limit of an Envoy remembers; about 200 bytes each. */
export const RATE_LIMIT_BUCKETS_MAX = 10_000;

/**
 * Characters of a path, without its query, at a Service whose policies look at paths: each prefix and template that Envoy tries
 * looks through it, some 80 µs for one of 50 KB. Real ones have less than 300.
 */
export const PATH_CHARS_MAX = 2_048;

/** One probe; it is local. */
export const PROBE_TIMEOUT_MS = 5_000;

/** An answer to a probe that is longer is no denial of Weir's. */
export const PROBE_ANSWER_CHARS_MAX = 1_024;

/** Services of one Gateway that are probed at once; each is a connection there for a moment. */
export const PROBES_AT_ONCE = 8;

/** What seems bypassed is probed again after this, for an Envoy may take a moment to apply a change. */
export const PROBE_AGAIN_MS = 3_000;

/** One page of Envoy's admin: it looks through all counters, 2 s for 4,000 Services at four Gateways on a busy machine. */
export const ADMIN_ANSWER_MS = 20_000;

/** Pause between two rounds of probes: a bypass is reported within half a minute, for two requests per Service. */
export const PROBE_INTERVAL_MS = 30_000;

/** An Envoy that has given no verdict, or no report, for three intervals has failed the probe. */
export const PROBE_LATE_MS = 3 * PROBE_INTERVAL_MS;

/** How long `weir probe` waits for the report of an Envoy. */
export const PROBE_WAIT_MS = 20_000;

/** Until an agent calls control again that was away. */
export const PROBE_RETRY_MS = 1_000;

/** Of a limited Service one probe in so many milliseconds, and so many more: what is beyond it is somebody else's than control's. */
export const PROBE_BUCKET_EVERY_MS = 100;
export const PROBE_BUCKET_MORE = 10;

/**
 * Instructions of one regular expression that our Envoys take; their default of 100 refuses a path template of 110
 * letters. The longest template has 512 variables of 10 instructions each (1.36.2; 1.40.0: 4).
 */
export const RE2_PROGRAM_MAX = 8_192;
