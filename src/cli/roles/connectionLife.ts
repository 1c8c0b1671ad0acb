/** Maximum age of clients' connections to Gateways, from the lifetime of SVIDs. */
import { X509Certificate } from "node:crypto";
import { GATEWAY_CONNECTION_MS } from "../../limits/index.js";
import { lifeMs as lifeOf } from "../../trust/identity/validity.js";

/** More than half: certificates are shorter just before a root's end, and a changed listener would drain. */
const ABOUT_HALF = 0.55;

/**
 * GATEWAY_CONNECTION_MS, halved until it is about half of the certificate's lifetime or less: a client that renews at half
 * then closes every connection before the certificate that opened it ends.
 * @param certificate PEM of an SVID of the installation
 */
export function connectionLifeMs(certificate: string): number {
	const { validFrom, validTo } = new X509Certificate(certificate);
	const halfMs = lifeOf({ notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) }) * ABOUT_HALF;
	let lifeMs = GATEWAY_CONNECTION_MS;
	while (lifeMs > halfMs && lifeMs > 1_000) lifeMs = Math.ceil(lifeMs / 2);
	return lifeMs;
}
