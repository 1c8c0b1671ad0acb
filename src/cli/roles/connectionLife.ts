/** How long clients' connections to Gateways are used, by the life that SVIDs have here. */
import { X509Certificate } from "node:crypto";
import { GATEWAY_CONNECTION_MS } from "../../limits/index.js";
import { lifeMs as lifeOf } from "../../trust/identity/validity.js";

/** The last certificates before a root's end live a little less; a listener that changed for that would drain. */
const ABOUT_HALF = 0.55;

/**
 * GATEWAY_CONNECTION_MS, halved until it is about half of the certificate's life or less: a client that renews at half has
 * then left every connection before the certificate ends that it was opened with.
 * @param certificate PEM of an SVID of the installation
 */
export function connectionLifeMs(certificate: string): number {
	const { validFrom, validTo } = new X509Certificate(certificate);
	const halfMs = lifeOf({ notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) }) * ABOUT_HALF;
	let lifeMs = GATEWAY_CONNECTION_MS;
	while (lifeMs > halfMs && lifeMs > 1_000) lifeMs = Math.ceil(lifeMs / 2);
	return lifeMs;
}
