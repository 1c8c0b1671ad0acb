/**
 * The TLS of every door between parts: 1.3 alone (RFC 8446), and no session tickets, so that each connection shows its
 * certificate and is judged by the trust of the moment when it is opened: a resumed session would carry an older proof
 * (RFC 8446 2.2). For how long that counts while the connection is open is tlsDoor.ts's.
 */
import { constants } from "node:crypto";

/** Options of servers and clients, beside their certificate, key and authorities. */
export const PROVED_EACH_TIME = { minVersion: "TLSv1.3", secureOptions: constants.SSL_OP_NO_TICKET } as const;
