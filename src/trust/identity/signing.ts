/**
 * X.509 for SPIFFE: roots and the SVIDs that they sign, keys P-256 (SPIFFE X509-SVID sections 2 to 4: one URI SAN; the
 * root's has no path; leaf: digitalSignature and no CA bit; root: keyCertSign).
 */
// @peculiar/x509 uses tsyringe, which needs this polyfill loaded first.
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import type { JsonGeneralName } from "@peculiar/x509";

// Not `import`: Node would parse its hundred files once more for their export names, 0.1 s of each start.
import x509 = require("@peculiar/x509");

import { spiffeFault } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { IDENTITY_BACKDATE_MS } from "../../limits/index.js";

const {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	cryptoProvider,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	KeyUsageFlags,
	KeyUsagesExtension,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509Certificate,
	X509CertificateGenerator,
} = x509;

/** Both in PEM; the private key is PKCS #8. */
export interface IssuedCertificate {
	readonly certificate: string;
	readonly privateKey: string;
}

/** A root that can sign. */
export interface SigningRoot extends IssuedCertificate {
	readonly trustDomain: string;
	/** When it was made. */
	readonly bornMs: number;
	readonly notBeforeMs: number;
	readonly notAfterMs: number;
	readonly signingKey: webcrypto.CryptoKey;
}

export interface RootOptions {
	readonly trustDomain: string;
	readonly commonName: string;
	readonly nowMs: number;
	readonly notAfterMs: number;
}

export interface LeafOptions {
	/** In the root's trust domain, with a path. */
	readonly spiffeId: string;
	readonly dnsNames?: readonly string[];
	readonly nowMs: number;
	/** Limited to the root's end. */
	readonly notAfterMs: number;
}

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

cryptoProvider.set(webcrypto);

/** @throws WeirError `invalid-argument` for an invalid trust domain */
export function checkTrustDomain(trustDomain: string): void {
	if (trustDomain.includes("/") || spiffeFault(`spiffe://${trustDomain}`) !== null) {
		throw new WeirError("invalid-argument", `"${trustDomain}" is no trust domain`, "write one like example.org");
	}
}

/** A new key and its self-signed certificate. @throws WeirError `invalid-argument` for an invalid trust domain */
export async function makeRoot({ trustDomain, commonName, nowMs, notAfterMs }: RootOptions): Promise<SigningRoot> {
	checkTrustDomain(trustDomain);
	const keys = await newKeys();
	const certificate = await X509CertificateGenerator.createSelfSigned({
		serialNumber: serialNumber(),
		name: `CN=${commonName},O=${trustDomain}`,
		notBefore: new Date(nowMs - IDENTITY_BACKDATE_MS),
		notAfter: new Date(notAfterMs),
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
		trustDomain,
		bornMs: nowMs,
		notBeforeMs: certificate.notBefore.getTime(),
		notAfterMs,
		certificate: certificate.toString("pem"),
		privateKey: await pkcs8(keys.privateKey),
		signingKey: keys.privateKey,
	};
}

/** A root that was kept in files. @throws Error where either text is not what it should be */
export async function readRoot(trustDomain: string, kept: IssuedCertificate): Promise<SigningRoot> {
	const base64 = kept.privateKey.replace(/-----[A-Z ]+-----|\s/g, "");
	const signingKey = await webcrypto.subtle.importKey("pkcs8", Buffer.from(base64, "base64"), KEY, false, ["sign"]);
	const { notBefore, notAfter } = new X509Certificate(kept.certificate);
	return {
		trustDomain,
		bornMs: notBefore.getTime() + IDENTITY_BACKDATE_MS,
		notBeforeMs: notBefore.getTime(),
		notAfterMs: notAfter.getTime(),
		signingKey,
		certificate: kept.certificate,
		privateKey: kept.privateKey,
	};
}

/**
 * A new key pair and an SVID for it, for clients and servers.
 * @throws WeirError `invalid-argument` when the SPIFFE id is malformed, has no path or is of another trust domain
 */
export async function signLeaf(root: SigningRoot, options: LeafOptions): Promise<IssuedCertificate> {
	const { spiffeId, dnsNames = [], nowMs, notAfterMs } = options;
	const prefix = `spiffe://${root.trustDomain}/`;
	if (!spiffeId.startsWith(prefix) || spiffeFault(spiffeId) !== null) {
		throw new WeirError(
			"invalid-argument",
			`"${spiffeId}" is no SPIFFE id of ${root.trustDomain}`,
			`write ${prefix}NAME`,
		);
	}
	const issuer = new X509Certificate(root.certificate);
	const keys = await newKeys();
	const names: JsonGeneralName[] = [
		{ type: "url", value: spiffeId },
		...dnsNames.map((value): JsonGeneralName => ({ type: "dns", value })),
	];
	const leaf = await X509CertificateGenerator.create({
		serialNumber: serialNumber(),
		subject: `O=${root.trustDomain}`,
		issuer: issuer.subject,
		notBefore: new Date(nowMs - IDENTITY_BACKDATE_MS),
		notAfter: new Date(Math.min(notAfterMs, root.notAfterMs)),
		signingAlgorithm: KEY,
		publicKey: keys.publicKey,
		signingKey: root.signingKey,
		extensions: [
			new BasicConstraintsExtension(false, undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
			new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
			new SubjectAlternativeNameExtension(names),
			await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
			await SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	return { certificate: leaf.toString("pem"), privateKey: await pkcs8(keys.privateKey) };
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
