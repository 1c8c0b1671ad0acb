/**
 * Why a TLS handshake at a door between parts failed, in a closed set of words: what a stranger says there is nobody's label
 * and stands in no record.
 */
import type { TLSSocket } from "node:tls";

/**
 * `certificate-ended`: whoever may have issued it, for OpenSSL tells one fault of several. `tls`: what came was no handshake
 * of TLS 1.3 that holds (plain text, an older version, a forged signature, garbage), or the peer said that it does not go on.
 */
export const HANDSHAKE_FAULTS = ["no-certificate", "untrusted-certificate", "certificate-ended", "tls"] as const;
export type HandshakeFault = (typeof HANDSHAKE_FAULTS)[number];

/** The counter of all doors but the predictor's, which has one of its own. Labels: `door`, `reason` (a HandshakeFault). */
export const HANDSHAKES_REFUSED = {
	name: "weir_handshakes_refused_total",
	help: "TLS handshakes that failed, by door (access-log, xds, api, outcomes, sidecar) and reason. Connections that were only cut are not counted. Load reports come by the door of xds.",
} as const;

/**
 * Of a `tlsClientError`. null = the connection was only cut: a balancer's health check, a port scan, a client that gave up
 * without a word.
 */
export function handshakeFault(
	{ code = "" }: NodeJS.ErrnoException,
	{ authorizationError }: Pick<TLSSocket, "authorizationError">,
): HandshakeFault | null {
	// Node cuts a connection whose certificate does not hold, and calls that a reset.
	const why = authorizationError == null ? "" : String(authorizationError);
	if (why === "CERT_HAS_EXPIRED") return "certificate-ended";
	if (why !== "") return "untrusted-certificate";
	if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "no-certificate";
	return /^ERR_O?SSL_/.test(code) ? "tls" : null;
}

/** As a reason in the operators' audit log. @param times how many it stands for */
export const toldFault = (fault: HandshakeFault, times: number): string =>
	times === 1 ? fault : `${fault}, ${times} times`;
