/** A certificate authority that signs what no SPIFFE authority may: any names, or none. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
	BasicConstraintsExtension,
	cryptoProvider,
	type JsonGeneralName,
	KeyUsageFlags,
	KeyUsagesExtension,
	SubjectAlternativeNameExtension,
	X509CertificateGenerator,
} from "@peculiar/x509";
import type { IssuedCertificate } from "../identity/developmentCa.js";

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface OddCa {
	/** PEM. */
	readonly certificate: string;
	/** @param names in this order; none = no such extension */
	issue(names: readonly JsonGeneralName[]): Promise<IssuedCertificate>;
}

export async function oddCa(): Promise<OddCa> {
	cryptoProvider.set(webcrypto);
	const newKeys = () => webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
	const now = Date.now();
	const times = { notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) };
	const keys = await newKeys();
	const own = await X509CertificateGenerator.createSelfSigned({
		serialNumber: "01",
		name: "CN=odd",
		...times,
		signingAlgorithm: KEY,
		keys,
		extensions: [new BasicConstraintsExtension(true, 0, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)],
	});
	let issued = 1;
	return {
		certificate: own.toString("pem"),
		async issue(names) {
			const leafKeys = await newKeys();
			issued += 1;
			const leaf = await X509CertificateGenerator.create({
				serialNumber: issued.toString(16).padStart(2, "0"),
				subject: "O=odd",
				issuer: own.subject,
				...times,
				signingAlgorithm: KEY,
				publicKey: leafKeys.publicKey,
				signingKey: keys.privateKey,
				extensions: [
					new BasicConstraintsExtension(false, undefined, true),
					new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
					...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
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
