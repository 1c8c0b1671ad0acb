/**
 * TLS between Weir's parts: 1.3 only (RFC 8446), without session tickets. A resumed session would carry an older proof
 * (RFC 8446 2.2); without one, each connection is verified against the current roots. connectionLimits.ts limits how long it stays open.
 */
import { constants } from "node:crypto";

/** Options of servers and clients, in addition to certificate, key and roots. */
export const TLS_OPTIONS = { minVersion: "TLSv1.3", secureOptions: constants.SSL_OP_NO_TICKET } as const;
