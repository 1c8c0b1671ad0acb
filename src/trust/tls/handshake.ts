/** Why a TLS handshake failed, as a closed set of reasons: text from an unauthenticated client never becomes a metric label. */
import type { TLSSocket } from "node:tls";

/**
 * `certificate-ended`: expired, from any issuer, because OpenSSL reports only one fault. `tls`: no valid TLS 1.3 handshake
 * (plain text, an older version, a forged signature, garbage), or the peer sent an alert.
 */
export const HANDSHAKE_FAULTS = ["no-certificate", "untrusted-certificate", "certificate-ended", "tls"] as const;
export type HandshakeFault = (typeof HANDSHAKE_FAULTS)[number];

/** The counter of all servers except the predictor, which has its own. Labels: `listener`, `reason` (a HandshakeFault). */
export const HANDSHAKES_REFUSED = {
	name: "weir_handshakes_refused_total",
	help: "TLS handshakes that failed, by listener (access-log, xds, api, sidecar) and reason. Connections that were only cut are not counted. Load reports use the listener xds.",
} as const;

/** Classifies a `tlsClientError`. null = the connection was only closed (a health check, a port scan, a client that gave up). */
export function handshakeFault(
	{ code = "" }: NodeJS.ErrnoException,
	{ authorizationError }: Pick<TLSSocket, "authorizationError">,
): HandshakeFault | null {
	// Node closes a connection with an invalid certificate and reports a reset.
	const why = authorizationError == null ? "" : String(authorizationError);
	if (why === "CERT_HAS_EXPIRED") return "certificate-ended";
	if (why !== "") return "untrusted-certificate";
	if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "no-certificate";
	return /^ERR_O?SSL_/.test(code) ? "tls" : null;
}

/** The reason in the audit log. @param times how many failures it counts */
export const describeFault = (fault: HandshakeFault, times: number): string =>
	times === 1 ? fault : `${fault}, ${times} times`;
