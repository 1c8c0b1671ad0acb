/** Bounds of xDS and load reports. */

/** gRPC message limit: above the largest xDS push and access-log batch we make. */
export const GRPC_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * How long xds waits for an Envoy's answer before what depends on it goes on without. Most come in milliseconds,
 * but Envoy ACKs clusters only when they are warm (first DNS answer or health check, endpoints at the latest after
 * its initial_fetch_timeout of 15 s), and a route to a cluster that is not warm fails its requests.
 */
export const XDS_ACK_TIMEOUT_MS = 20_000;

/**
 * Longest timeout of a health check. Envoy's answer to a changed cluster waits for the first check, whose endpoint may say
 * nothing; the other half of XDS_ACK_TIMEOUT_MS is for DNS. The interval delays nothing: the first check is at once.
 */
export const HEALTH_CHECK_TIMEOUT_MS_MAX = XDS_ACK_TIMEOUT_MS / 2;

/** One DiscoveryRequest: a node with its metadata, or the names of some ten thousand clusters. */
export const XDS_REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** Names in one request: far more than there are Variants. */
export const XDS_NAMES_MAX = 100_000;

/** Of one such name: three names of 63 characters and what is between them. */
export const XDS_NAME_CHARS_MAX = 256;

/** Of a client's version: Weir's own are hashes. */
export const XDS_VERSION_CHARS_MAX = 128;

/** How far the words of a rejection are read for whom they name; told is much less (TABLE_WORDS_CHARS_MAX). */
export const XDS_WORDS_READ_CHARS_MAX = 64 * 1024;

/** A client that is gone for less comes back from opening its connection anew (XDS_CONNECTION_AGE_MS): no alarm has ended. */
export const XDS_CLIENT_AWAY_MS = 30_000;

/** Open ADS streams, or load reporting streams; each Envoy has one. When all are taken, a newcomer is refused. */
export const XDS_STREAMS_MAX = 1_000;

/** The same, of one Envoy's SPIFFE id: several may share it (a note of `weir status`). Sidecars do, by default all of them. */
export const XDS_STREAMS_OF_ENVOY_MAX = 100;

/** On one TCP connection, at once: an Envoy has its configuration, its load reports and its keeper's word; a sidecar its table. */
export const XDS_STREAMS_OF_CONNECTION_MAX = 32;

/** TCP connections of proved peers to xds, or to the access log: an Envoy's next one is open before its last one ends. */
export const XDS_CONNECTIONS_MAX = 2 * XDS_STREAMS_MAX;

/** How long clusters of a client that an earlier process of xds configured stay, while its routes may still name them. */
export const XDS_RESTART_WAIT_MS = 2_000;

/** A TCP connection to xds whose client vanished without closing is noticed in these two together. */
export const XDS_KEEPALIVE_MS = 30_000;
export const XDS_KEEPALIVE_ANSWER_MS = 10_000;

/** How often an Envoy reports its load: what is under way now is news for a person, and the report costs next to nothing. */
export const LOAD_REPORT_MS = 10_000;

/**
 * A TCP connection to xds is opened anew after about this long, so that its client shows a certificate that is still good:
 * SVIDs live for an hour and are renewed at half of it. Envoys keep what they have meanwhile.
 */
export const XDS_CONNECTION_AGE_MS = 10 * 60 * 1000;

/** A TCP connection to xds on which no stream is open: its client has one, or comes again. */
export const XDS_CONNECTION_IDLE_MS = 30_000;

/** Refused xDS streams are audited once in this time for each id and reason: clients try again every few seconds. */
export const XDS_REFUSALS_AUDITED_MS = 60_000;

/** Refusals of one publication after which only those Services are closed that the Envoy names; it may name one at a time. */
export const XDS_NAMED_TRIALS_MAX = 10;

/** Configurations of one publication with Services closed that are kept: most Envoys refuse the same. */
export const XDS_VARIANTS_MAX = 32;

/** Envoys by node id of which xds remembers what they took and refused, for when they come back: some ten MiB. */
export const XDS_NODES_REMEMBERED_MAX = 100;

/**
 * How long the last endpoints of a cluster wait for the routes to leave it: an Envoy takes milliseconds. One that waits for
 * other clusters takes longer, and must not go on sending to what was taken away.
 */
export const XDS_LEAVING_MS = 2_000;
