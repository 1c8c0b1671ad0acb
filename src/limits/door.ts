/** Bounds of doors: who has not proved who it is, for how long a proof counts, and how long bodies that nobody wants are read. */

/**
 * Connections of one door whose peer has not proved who it is; beyond it the oldest goes, first of the address that has
 * the most. A handshake takes milliseconds, so a peer that wants to prove itself is through long before, at thousands of
 * silent connections a second.
 */
export const UNPROVED_CONNECTIONS_MAX = 1_024;

/** How long such a connection may take: a handshake is three packets; the rest is for slow lines and a busy process. */
export const UNPROVED_CONNECTION_MS = 5_000;

/** How long a peer that has proved itself by a certificate may ask nothing, where a door sees requests: it came to ask. */
export const UNASKED_CONNECTION_MS = 30_000;

/** How long the rest of a body that nobody wants is read and thrown away, so that its sender reads the answer. */
export const UNREAD_BODY_MS = 2_000;

/** How often a door looks for connections that are over. */
export const CONNECTIONS_LOOK_MS = 1_000;

/** Without a request for this long, a connection whose certificate is about to end is ended: between two it never is. */
export const CONNECTION_QUIET_MS = 100;

/**
 * Streams that one TCP connection to xds, or to the access log, may open at once, and again per second, before it is cut. An
 * Envoy has some at its start (ACCESS_LOG_STREAMS_MAX), and tries each that was refused again about once a second.
 */
export const STREAMS_OPENED_AT_ONCE_MAX = 300;
export const STREAMS_OPENED_PER_SECOND_MAX = 100;

/**
 * How long before the end of its peer's certificate a connection is asked to end, in order: peers have a newer one by
 * then, for SVIDs are renewed at half of their life. At most this share of what was left of it when the connection was
 * opened, for very short ones.
 */
export const PEER_RENEWAL_MS = 60_000;
export const PEER_RENEWAL_SHARE = 0.25;

/**
 * How long Envoy keeps an idle connection to a server that looks at its certificate: below the above, so that one which was
 * not in use when it was to be ended in order is not used after the certificate's end.
 */
export const PROVED_UPSTREAM_IDLE_MS = PEER_RENEWAL_MS - 10_000;

/**
 * Failed handshakes are recorded once in this time for each door and reason, with their number: anybody who reaches a port can
 * fail as often as they like, and a scan must not push out other records.
 */
export const HANDSHAKE_FAULTS_TOLD_MS = 60_000;

/**
 * Names that one SPIFFE id brings with what is refused, and that are told apart: Gateways of streams, which are the client's word,
 * and others' Metrics of outcomes.
 */
export const REFUSED_NAMES_MAX = 20;

/**
 * Requests of one authenticated client to one server: at once, and in a window. A team's senders share an identity; each may hold
 * a body of 4 MiB.
 */
export const CLIENT_REQUESTS_AT_ONCE_MAX = 32;
export const CLIENT_REQUESTS_MAX = 2_000;
export const CLIENT_REQUESTS_WINDOW_SECONDS = 10;

/** Beside those, aborts, pauses and rollbacks. */
export const CLIENT_STOPS_AT_ONCE_MAX = 8;
export const CLIENT_STOPS_MAX = 100;
