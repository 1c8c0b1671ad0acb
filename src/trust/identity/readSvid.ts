/** Validates a response of the Workload API and converts it to an Svid. Pure. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { X509SVIDResponse } from "../../gen/spiffe/workload_pb.js";
import { certificateSpiffeId } from "./peer.js";
import { pemOf, splitDer } from "./pem.js";
import type { Svid } from "./svid.js";

/**
 * The first identity of the response, which is the default one (Workload API section 5.1.1).
 * @returns the error as a sentence, if the identity is invalid
 */
export function readSvid({ svids }: Pick<X509SVIDResponse, "svids">, nowMs: number): Svid | string {
	const [message] = svids;
	if (message === undefined) return "it has no identity for this workload";
	try {
		const chain = splitDer(message.x509Svid);
		const roots = splitDer(message.bundle);
		const [leaf] = chain ?? [];
		if (chain === null || leaf === undefined) return "its certificate cannot be read";
		if (roots === null || roots.length === 0) return "its trust bundle cannot be read";
		const id = certificateSpiffeId(leaf);
		if (id === null || id !== message.spiffeId) return "its certificate is not an SVID of the id that it names";
		const certificate = new X509Certificate(leaf);
		const key = Buffer.from(message.x509SvidKey);
		if (!certificate.checkPrivateKey(createPrivateKey({ key, format: "der", type: "pkcs8" }))) {
			return "its key is not its certificate's";
		}
		const notAfterMs = Date.parse(certificate.validTo);
		if (notAfterMs <= nowMs) return "its certificate has ended";
		// Parsed here, because TLS would refuse an invalid one only later, on a connection.
		for (const der of [...chain, ...roots]) new X509Certificate(der);
		return {
			spiffeId: id,
			certificate: chain.map((der) => pemOf("CERTIFICATE", der)).join(""),
			privateKey: pemOf("PRIVATE KEY", key),
			trustBundle: roots.map((der) => pemOf("CERTIFICATE", der)).join(""),
			notBeforeMs: Date.parse(certificate.validFrom),
			notAfterMs,
		};
	} catch {
		return "its certificate or key cannot be read";
	}
}
