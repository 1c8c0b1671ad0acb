/** Limits of identities: sockets, certificates, forwarded certificates. */

/** Longest path of a UNIX socket: sun_path of Linux less the closing NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** How long before its creation a certificate becomes valid, because clocks of peers differ. */
export const IDENTITY_BACKDATE_MS = 60_000;
