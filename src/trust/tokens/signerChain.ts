/** Verifies a certificate chain against the trust bundle and reads the SPIFFE id of its leaf (X509-SVID 3, 5). */
import { type KeyObject, X509Certificate } from "node:crypto";
import { onlyWorkloadId } from "../../declare/resources/spiffe.js";

/** Certificates from a signer's own to the trust bundle. */
const DECISION_CHAIN_MAX = 3;

export interface Signer {
	readonly spiffeId: string;
	readonly publicKey: KeyObject;
	/** The time in which all certificates of the chain are valid. */
	readonly fromMs: number;
	readonly untilMs: number;
}

/** The certificates of a PEM bundle. @throws Error if there is none or one is invalid */
export function bundleCertificates(pem: string): readonly X509Certificate[] {
	const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
	if (blocks.length === 0) throw new Error("the trust bundle holds no certificate");
	return blocks.map((block) => new X509Certificate(block));
}

/** @param chain DER, leaf first. @returns the signer, or why the chain is invalid. Never throws */
export function signerOf(chain: readonly Uint8Array[], roots: readonly X509Certificate[]): Signer | string {
	if (chain.length === 0 || chain.length > DECISION_CHAIN_MAX) return "the chain is empty or too long";
	try {
		return verified(
			chain.map((der) => new X509Certificate(der)),
			roots,
		);
	} catch {
		return "a certificate cannot be read";
	}
}

function verified(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): Signer | string {
	const [leaf] = chain;
	if (leaf === undefined) return "the chain is empty or too long";
	if (leaf.ca || chain.slice(1).some(({ ca }) => !ca)) return "the chain mixes up authorities and others";
	const last = chain.at(-1) as X509Certificate;
	const root = roots.find((one) => one.ca && issued(one, last));
	if (root === undefined) return "the chain is not trusted";
	for (const [index, certificate] of chain.slice(0, -1).entries()) {
		if (!issued(chain[index + 1] as X509Certificate, certificate)) return "the chain is broken";
	}
	const spiffeId = onlyWorkloadId(leaf.subjectAltName);
	if (spiffeId === null) return "the certificate is no SVID";
	const { publicKey } = leaf;
	if (publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") return "the key is not of P-256";
	const certificates = [...chain, root];
	return {
		spiffeId,
		publicKey,
		fromMs: Math.max(...certificates.map(({ validFrom }) => Date.parse(validFrom))),
		untilMs: Math.min(...certificates.map(({ validTo }) => Date.parse(validTo))),
	};
}

const issued = (issuer: X509Certificate, subject: X509Certificate): boolean =>
	subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
