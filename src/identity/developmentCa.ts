/**
 * A certificate authority for development and tests: makes short-lived SPIFFE X.509-SVIDs in process, in memory,
 * with no file and no openssl. Not for production: its key lives as long as the process and nothing is revoked.
 * Rules: SPIFFE X509-SVID sections 2 to 4 (one URI SAN; the CA certificate has none with a path; leaf: digitalSignature,
 * no CA bit; CA: keyCertSign).
 */
// @peculiar/x509 resolves its algorithms with tsyringe, which wants this polyfill loaded before it.
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	cryptoProvider,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	type JsonGeneralName,
	KeyUsageFlags,
	KeyUsagesExtension,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509CertificateGenerator,
} from "@peculiar/x509";
import { WeirError } from "../error.js";

export interface DevelopmentCaOptions {
	/** `example.org` of `spiffe://example.org/…`. */
	readonly trustDomain: string;
	readonly nowMs: number;
	/** Of the CA and the longest of what it issues. */
	readonly lifetimeMs: number;
}

export interface IssueOptions {
	/** In the CA's trust domain, with a path. */
	readonly spiffeId: string;
	/** DNS names for clients that check the host name; none by default. */
	readonly dnsNames?: readonly string[];
	/** When the certificate begins; by default when the CA began. */
	readonly nowMs?: number;
	/** At most what is left of the CA's life, which is the default. */
	readonly lifetimeMs?: number;
}

/** Both in PEM; the private key is PKCS #8. */
export interface IssuedCertificate {
	readonly certificate: string;
	readonly privateKey: string;
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

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Peers' clocks differ a little. */
const BACKDATE_MS = 60_000;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** SPIFFE-ID section 2: path segments of letters, digits, dot, dash, underscore, neither empty nor `.` nor `..`. */
const PATH = /^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/;

/** @throws WeirError `invalid-argument` when the trust domain is malformed or the lifetime is not positive */
export async function createDevelopmentCa(options: DevelopmentCaOptions): Promise<DevelopmentCa> {
	const { trustDomain, nowMs, lifetimeMs } = options;
	if (!TRUST_DOMAIN.test(trustDomain)) {
		throw new WeirError("invalid-argument", `"${trustDomain}" is no trust domain`, "write one like example.org");
	}
	if (!(lifetimeMs > 0)) throw new WeirError("invalid-argument", "a certificate needs a lifetime above 0 ms");
	cryptoProvider.set(webcrypto);
	const keys = await newKeys();
	const subject = `CN=Weir development CA,O=${trustDomain}`;
	const notAfter = nowMs + lifetimeMs;
	const certificate = await X509CertificateGenerator.createSelfSigned({
		serialNumber: serialNumber(),
		name: subject,
		notBefore: new Date(nowMs - BACKDATE_MS),
		notAfter: new Date(notAfter),
		signingAlgorithm: KEY,
		keys,
		extensions: [
			new BasicConstraintsExtension(true, 0, true),
			new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
			// A signing certificate's own SPIFFE id, if any, has no path (X509-SVID section 3.2).
			new SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
			await SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});

	return {
		certificate: certificate.toString("pem"),
		async issue({ spiffeId, dnsNames = [], nowMs: from = nowMs, lifetimeMs: own = notAfter - from }) {
			const prefix = `spiffe://${trustDomain}/`;
			if (!spiffeId.startsWith(prefix) || !PATH.test(spiffeId.slice(prefix.length - 1))) {
				throw new WeirError(
					"invalid-argument",
					`"${spiffeId}" is no SPIFFE id of ${trustDomain}`,
					`write ${prefix}NAME`,
				);
			}
			const leafKeys = await newKeys();
			const names: JsonGeneralName[] = [
				{ type: "url", value: spiffeId },
				...dnsNames.map((value): JsonGeneralName => ({ type: "dns", value })),
			];
			const leaf = await X509CertificateGenerator.create({
				serialNumber: serialNumber(),
				subject: `O=${trustDomain}`,
				issuer: certificate.subject,
				notBefore: new Date(from - BACKDATE_MS),
				notAfter: new Date(Math.min(from + own, notAfter)),
				signingAlgorithm: KEY,
				publicKey: leafKeys.publicKey,
				signingKey: keys.privateKey,
				extensions: [
					new BasicConstraintsExtension(false, undefined, true),
					new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
					new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
					new SubjectAlternativeNameExtension(names),
					await AuthorityKeyIdentifierExtension.create(keys.publicKey),
					await SubjectKeyIdentifierExtension.create(leafKeys.publicKey),
				],
			});
			return { certificate: leaf.toString("pem"), privateKey: await pkcs8(leafKeys.privateKey) };
		},
	};
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
	return webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
}

/** 127 random bits, so that it is positive (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
	const bytes = randomBytes(16);
	bytes[0] = (bytes[0] ?? 0) & 0x7f;
	return bytes.toString("hex");
}

async function pkcs8(key: webcrypto.CryptoKey): Promise<string> {
	const base64 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
	const lines = base64.match(/.{1,64}/g) ?? [];
	return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
