/** A certificate authority that signs certificates that SPIFFE forbids: with any names, or none. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import type { JsonGeneralName } from "@peculiar/x509";

import x509 = require("@peculiar/x509");

import type { IssuedCertificate } from "../../trust/identity/developmentCa.js";

const {
	BasicConstraintsExtension,
	cryptoProvider,
	KeyUsageFlags,
	KeyUsagesExtension,
	SubjectAlternativeNameExtension,
	X509CertificateGenerator,
} = x509;

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface OddCa {
	/** PEM. */
	readonly certificate: string;
	readonly subject: string;
	readonly signingKey: webcrypto.CryptoKey;
	/** @param names in this order; none = no such extension */
	issue(names: readonly JsonGeneralName[]): Promise<IssuedCertificate>;
}

export interface OddCaOptions {
	/** Who signs it; absent: itself. */
	readonly parent?: OddCa;
	/** false: it only does what an authority does. */
	readonly isCa?: boolean;
	readonly names?: readonly JsonGeneralName[];
}

const newKeys = () => webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
const named = (names: readonly JsonGeneralName[]) =>
	names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])];
let authorities = 0;

export async function oddCa({ parent, isCa = true, names = [] }: OddCaOptions = {}): Promise<OddCa> {
	cryptoProvider.set(webcrypto);
	const now = Date.now();
	const times = { notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) };
	const keys = await newKeys();
	authorities += 1;
	// Certificates of another CA have the name that they imitate.
	const subject = parent === undefined ? "CN=odd" : `CN=odd ${authorities}`;
	const own = await X509CertificateGenerator.create({
		serialNumber: "01",
		subject,
		issuer: parent?.subject ?? subject,
		...times,
		signingAlgorithm: KEY,
		publicKey: keys.publicKey,
		signingKey: parent?.signingKey ?? keys.privateKey,
		extensions: [
			new BasicConstraintsExtension(isCa, isCa ? 0 : undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
			...named(names),
		],
	});
	let issued = 1;
	return {
		certificate: own.toString("pem"),
		subject,
		signingKey: keys.privateKey,
		async issue(ids) {
			const leafKeys = await newKeys();
			issued += 1;
			const leaf = await X509CertificateGenerator.create({
				serialNumber: issued.toString(16).padStart(2, "0"),
				subject: "O=odd",
				issuer: subject,
				...times,
				signingAlgorithm: KEY,
				publicKey: leafKeys.publicKey,
				signingKey: keys.privateKey,
				extensions: [
					new BasicConstraintsExtension(false, undefined, true),
					new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
					...named(ids),
				],
			});
			const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", leafKeys.privateKey)).toString("base64");
			const lines = key.match(/.{1,64}/g) ?? [];
			return {
				certificate: leaf.toString("pem"),
				privateKey: `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`,
			};
		},
	};
}
