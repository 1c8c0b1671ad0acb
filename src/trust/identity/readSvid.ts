/** The Workload API's answer as an Svid, believed only when it holds together. Pure. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { X509SVIDResponse } from "../../gen/spiffe/workload_pb.js";
import { certificateSpiffeId } from "./peer.js";
import { pemOf, splitDer } from "./pem.js";
import type { Svid } from "./svid.js";

/**
 * The first identity of the answer, which is the default one (Workload API section 5.1.1).
 * @returns what is wrong with it, as a sentence, where it cannot be used
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
		// Each must be a certificate: one that is none would be refused by TLS later, when nobody can do anything.
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
