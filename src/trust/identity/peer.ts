/** The SPIFFE id of a TLS peer. */
import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { onlyWorkloadId } from "../../declare/resources/spiffe.js";

/**
 * The SPIFFE id of a leaf certificate, read strictly (X509-SVID section 2 and 4): exactly one URI name, well-formed,
 * with a path, on a certificate that is no CA. Does not verify the chain.
 * @param der a certificate that TLS has verified; any bytes are safe
 */
export function certificateSpiffeId(der: Uint8Array): string | null {
	try {
		const { subjectAltName, ca } = new X509Certificate(der);
		return ca ? null : onlyWorkloadId(subjectAltName);
	} catch {
		return null;
	}
}

/** The peer's SPIFFE id; null if the chain did not verify, the client sent no certificate, or the certificate is no X.509-SVID. */
export function peerSpiffeId(socket: TLSSocket): string | null {
	if (!socket.authorized) return null;
	const certificate = socket.getPeerX509Certificate();
	return certificate === undefined ? null : certificateSpiffeId(certificate.raw);
}
