/** Limits of identities: sockets, certificates, forwarded certificates. */

/** Longest path of a UNIX socket: sun_path of Linux less the closing NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Life of an SVID of Weir's own CA. Agents renew it at half, so a shorter outage has no effect. */
export const IDENTITY_SVID_LIFETIME_MS = 3_600_000;

/** Life of a root of Weir's own CA: the next root is trusted from half of it on and signs from five sixths on. */
export const IDENTITY_ROOT_LIFETIME_MS = 7 * 24 * 3_600_000;

/** A root must outlive what it signs in the last sixth of its own life. */
export const IDENTITY_ROOT_TO_SVID_MIN = 6;

/** Below this share of its life an SVID is reported as not renewed: agents renew at half or two thirds. */
export const IDENTITY_UNRENEWED_SHARE = 1 / 4;

/** Timeout of a request for a process's SVID status: less than READY_NOTES_MS. */
export const IDENTITY_STATUS_MS = 200;

/** X.509 times are whole seconds; 2 s are for tests. */
export const IDENTITY_SVID_LIFETIME_MIN_MS = 2_000;

/** How long before its creation a certificate becomes valid, because clocks of peers differ. */
export const IDENTITY_BACKDATE_MS = 60_000;

/** How often Weir's own CA checks the clock. A long timer would miss a changed clock or a suspended machine. */
export const IDENTITY_CHECK_MS = 2_000;

/** Shortest pause between two checks of the CA. */
export const IDENTITY_CHECK_PAUSE_MS = 1_000;

/** Streams on one identity socket: an Envoy opens one for each secret of a listener or cluster (SPIRE's agent has no limit). */
export const IDENTITY_STREAMS_MAX = 1_024;

/** A request on an identity socket: a few names and an error message. */
export const IDENTITY_REQUEST_BYTES_MAX = 64 * 1024;

/** Secrets that one SDS request may name: an agent has two. */
export const IDENTITY_NAMES_MAX = 16;

/** Response of an agent: SVIDs and bundles of all federated domains; SPIRE's own clients accept 4 MiB. */
export const IDENTITY_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Certificates in one chain or bundle of an agent. */
export const IDENTITY_CERTIFICATES_MAX = 256;

/** Pauses between retries to reach an agent; the last one repeats. */
export const IDENTITY_RETRY_MS = [50, 100, 250, 500, 1_000] as const;

/** How long a starting process waits for its first SVID. */
export const IDENTITY_FIRST_WAIT_MS = 10_000;

/** Length of x-forwarded-client-cert: a URL-encoded certificate of a few KiB; all headers have at most 60 KiB. */
export const FORWARDED_CERT_CHARS_MAX = 64 * 1024;

/** Hops in x-forwarded-client-cert: one per proxy. */
export const FORWARDED_CERT_ELEMENTS_MAX = 16;
