/** Certificates that no correct CA issues, signed by a root whose key the test has. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import type { JsonGeneralName } from "@peculiar/x509";

import x509 = require("@peculiar/x509");

import type { IssuedCertificate, SigningRoot } from "../../../src/trust/identity/signing.js";

const { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509Certificate, X509CertificateGenerator } = x509;

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export async function crafted(
	root: SigningRoot,
	names: readonly JsonGeneralName[],
	{ endedMsAgo = -3_600_000, ca = false }: { readonly endedMsAgo?: number; readonly ca?: boolean } = {},
): Promise<IssuedCertificate> {
	const keys = await webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
	const notAfter = Date.now() - endedMsAgo;
	const leaf = await X509CertificateGenerator.create({
		serialNumber: "01",
		subject: "CN=crafted",
		issuer: new X509Certificate(root.certificate).subject,
		notBefore: new Date(Math.min(notAfter, Date.now()) - 60_000),
		notAfter: new Date(notAfter),
		signingAlgorithm: KEY,
		publicKey: keys.publicKey,
		signingKey: root.signingKey,
		extensions: [
			new BasicConstraintsExtension(ca, undefined, true),
			...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
		],
	});
	const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
	return {
		certificate: leaf.toString("pem"),
		privateKey: `-----BEGIN PRIVATE KEY-----\n${der.toString("base64")}\n-----END PRIVATE KEY-----\n`,
	};
}

export const uri = (value: string): JsonGeneralName => ({ type: "url", value });
export const dns = (value: string): JsonGeneralName => ({ type: "dns", value });
