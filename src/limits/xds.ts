/** Limits of xDS and load reports. */

/** gRPC message limit: above the largest xDS response and access-log batch. */
export const GRPC_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * How long xds waits for an Envoy's ACK. Most take milliseconds, but Envoy ACKs clusters only when they are warm (first
 * DNS response or health check, endpoints at the latest after its initial_fetch_timeout of 15 s), and a route to a
 * cluster that is not warm fails its requests.
 */
export const XDS_ACK_TIMEOUT_MS = 20_000;

/**
 * Longest timeout of a health check: the ACK of a changed cluster waits for the first check. The other half of
 * XDS_ACK_TIMEOUT_MS is for DNS. The interval delays nothing.
 */
export const HEALTH_CHECK_TIMEOUT_MS_MAX = XDS_ACK_TIMEOUT_MS / 2;

/** One DiscoveryRequest: a node with its metadata, or the names of some ten thousand clusters. */
export const XDS_REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** Resource names in one request: far more than there are Variants. */
export const XDS_NAMES_MAX = 100_000;

/** Length of one such name: three names of 63 characters and separators. */
export const XDS_NAME_CHARS_MAX = 256;

/** Length of a client's version: Weir's own are hashes. */
export const XDS_VERSION_CHARS_MAX = 128;

/** How much of a NACK's error is searched for names; less of it is reported (TABLE_ERROR_CHARS_MAX). */
export const XDS_ERROR_READ_CHARS_MAX = 64 * 1024;

/** A client that is away for less is only reconnecting (XDS_CONNECTION_AGE_MS): its alarms continue. */
export const XDS_CLIENT_AWAY_MS = 30_000;

/** Open ADS streams, or load reporting streams: one per Envoy. Further ones are refused. */
export const XDS_STREAMS_MAX = 1_000;

/** The same per SPIFFE id: several Envoys may share one (a note of `weir status`), and all sidecars do by default. */
export const XDS_STREAMS_OF_ENVOY_MAX = 100;

/** Streams on one TCP connection: an Envoy's configuration, load reports and agent report; a sidecar's table. */
export const XDS_STREAMS_OF_CONNECTION_MAX = 32;

/**
 * TCP connections of authenticated peers to xds or to the access log: an Envoy opens its next one before it closes the
 * last.
 */
export const XDS_CONNECTIONS_MAX = 2 * XDS_STREAMS_MAX;

/** How long a restarted xds keeps clusters of its previous process that a client's routes may still name. */
export const XDS_RESTART_WAIT_MS = 2_000;

/** A client that disappeared without closing its TCP connection is detected in the sum of these two. */
export const XDS_KEEPALIVE_MS = 30_000;
export const XDS_KEEPALIVE_ANSWER_MS = 10_000;

/** How often an Envoy reports its load, which operators see. */
export const LOAD_REPORT_MS = 10_000;

/**
 * Lifetime of a TCP connection to xds, so that its client presents a renewed certificate: SVIDs live for an hour and are
 * renewed at half of it. Envoys keep their configuration meanwhile.
 */
export const XDS_CONNECTION_AGE_MS = 10 * 60 * 1000;

/** Idle timeout of a TCP connection to xds without streams. */
export const XDS_CONNECTION_IDLE_MS = 30_000;

/** Refused xDS streams are audited once in this time for each id and reason, because clients retry every few seconds. */
export const XDS_REFUSALS_AUDITED_MS = 60_000;

/** NACKs of one publication after which only the Services that Envoy names are closed; it may name one at a time. */
export const XDS_NAMED_TRIALS_MAX = 10;

/** Configurations of one publication with closed Services that are cached: most Envoys refuse the same ones. */
export const XDS_VARIANTS_MAX = 32;

/** Envoys by node id whose accepted and refused resources xds stores for their return: some 10 MiB. */
export const XDS_NODES_REMEMBERED_MAX = 100;

/**
 * How long a removed cluster keeps its last endpoints until routes stop using it: usually milliseconds. An Envoy that
 * waits for other clusters takes longer and must not send to removed endpoints.
 */
export const XDS_LEAVING_MS = 2_000;
