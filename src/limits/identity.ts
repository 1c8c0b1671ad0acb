/** Bounds of identities: sockets, certificates, what a proxy says of one. */

/** Longest path of a UNIX socket: sun_path of Linux less the closing NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Life of an SVID of our own CA: renewed at half of it, so an agent that is away for less than half of it is not noticed. */
export const IDENTITY_SVID_LIFETIME_MS = 3_600_000;

/** Life of a root of our own CA: the next one is believed from half of it on and signs from five sixths on. */
export const IDENTITY_ROOT_LIFETIME_MS = 7 * 24 * 3_600_000;

/** A root must outlive what it signs in the last sixth of its own life. */
export const IDENTITY_ROOT_TO_SVID_MIN = 6;

/**
 * With less than that share of its life left an SVID is told as not renewed: agents renew at half, some at two thirds, and look
 * every few seconds (IDENTITY_LOOK_MS), so that of a life of a minute a quarter is far from both.
 */
export const IDENTITY_UNRENEWED_SHARE = 1 / 4;

/** How long a part is waited for that is asked about its SVID alone: within what /readyz waits for all its notes (READY_NOTES_MS). */
export const IDENTITY_ASKED_MS = 200;

/** Below a second X.509's times, which are whole seconds, make no sense; 2 s are for tests. */
export const IDENTITY_SVID_LIFETIME_MIN_MS = 2_000;

/** How far before its making a certificate begins: peers' clocks differ a little, and one that is set back by less does no harm. */
export const IDENTITY_BACKDATE_MS = 60_000;

/** How often our own CA looks at the clock: a timer of half an SVID's life knows nothing of a clock that was set, or of a machine that slept. */
export const IDENTITY_LOOK_MS = 2_000;

/** Between two looks at least, also where nothing that the CA does helps. */
export const IDENTITY_LOOK_PAUSE_MS = 1_000;

/** Streams on one identity socket: an Envoy opens one for each secret that a listener or cluster names (SPIRE's own agent has no bound). */
export const IDENTITY_STREAMS_MAX = 1_024;

/** A request on an identity socket: a few names and an error's text. */
export const IDENTITY_REQUEST_BYTES_MAX = 64 * 1024;

/** Secrets that one SDS request may name: an agent has two. */
export const IDENTITY_NAMES_MAX = 16;

/** An agent's answer: SVIDs and bundles of all federated domains; SPIRE's own clients take 4 MiB. */
export const IDENTITY_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Certificates in one chain or bundle of an agent. */
export const IDENTITY_CERTIFICATES_MAX = 256;

/** Pauses between tries of an agent that is away, the last one for ever: short, for a restarted agent answers at once. */
export const IDENTITY_RETRY_MS = [50, 100, 250, 500, 1_000] as const;

/** How long a process waits at its start for its first SVID. */
export const IDENTITY_FIRST_WAIT_MS = 10_000;

/** x-forwarded-client-cert: Envoy's holds a certificate of some KiB, URL-encoded; headers end at 60 KiB anyway. */
export const FORWARDED_CERT_CHARS_MAX = 64 * 1024;

/** Hops in x-forwarded-client-cert: each is one proxy that was passed. */
export const FORWARDED_CERT_ELEMENTS_MAX = 16;
