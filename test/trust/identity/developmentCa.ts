/**
 * A certificate authority for tests: issues short-lived SPIFFE X.509-SVIDs in memory, without files or openssl. Its key
 * lasts as long as the process, and nothing is revoked. The long-running CA is ca.ts.
 */
import { WeirError } from "../../../src/error.js";
import { checkTrustDomain, type IssuedCertificate, makeRoot, signLeaf } from "../../../src/trust/identity/signing.js";

export type { IssuedCertificate } from "../../../src/trust/identity/signing.js";

export interface DevelopmentCaOptions {
	/** `example.org` of `spiffe://example.org/…`. */
	readonly trustDomain: string;
	readonly nowMs: number;
	/** Lifetime of the CA, and the maximum for its certificates. */
	readonly lifetimeMs: number;
}

export interface IssueOptions {
	/** In the CA's trust domain, with a path. */
	readonly spiffeId: string;
	/** DNS names for clients that check the host name; none by default. */
	readonly dnsNames?: readonly string[];
	/** When the certificate begins; by default when the CA began. */
	readonly nowMs?: number;
	/** At most the rest of the CA's lifetime, which is the default. */
	readonly lifetimeMs?: number;
}

export interface DevelopmentCa {
	/** The CA's own certificate in PEM: the trust bundle of its domain. */
	readonly certificate: string;
	/**
	 * A new key pair and an SVID for it, good for both ends of mTLS.
	 * @throws WeirError `invalid-argument` when the SPIFFE id is malformed or of another trust domain
	 */
	issue(options: IssueOptions): Promise<IssuedCertificate>;
}

/** @throws WeirError `invalid-argument` when the trust domain is malformed or the lifetime is not positive */
export async function createDevelopmentCa(options: DevelopmentCaOptions): Promise<DevelopmentCa> {
	const { trustDomain, nowMs, lifetimeMs } = options;
	checkTrustDomain(trustDomain);
	if (!(lifetimeMs > 0)) throw new WeirError("invalid-argument", "a certificate needs a lifetime above 0 ms");
	const notAfterMs = nowMs + lifetimeMs;
	const root = await makeRoot({ trustDomain, commonName: "Weir development CA", nowMs, notAfterMs });
	return {
		certificate: root.certificate,
		issue: ({ spiffeId, dnsNames = [], nowMs: from = nowMs, lifetimeMs: own = notAfterMs - from }) =>
			signLeaf(root, { spiffeId, dnsNames, nowMs: from, notAfterMs: from + own }),
	};
}
