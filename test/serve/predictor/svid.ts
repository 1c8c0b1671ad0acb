/** An identity for the predictor with certificates of the test. */
import { X509Certificate } from "node:crypto";
import type { ServerIdentity } from "../../../src/serve/predictor/ports.js";
import type { DevelopmentCa, IssuedCertificate } from "../../trust/identity/developmentCa.js";

export interface TestIdentity extends ServerIdentity {
	rotate(own: IssuedCertificate, trustBundle?: string): void;
}

export function identityOf(ca: DevelopmentCa, own: IssuedCertificate): TestIdentity {
	let current = { ...own, trustBundle: ca.certificate };
	const listeners = new Set<() => void>();
	return {
		current: () => current,
		onRotated: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		idOf: (certificate) => {
			const names = new X509Certificate(certificate).subjectAltName?.split(", ") ?? [];
			const uris = names.filter((name) => name.startsWith("URI:"));
			return uris.length === 1 ? (uris[0]?.slice("URI:".length) ?? null) : null;
		},
		rotate: (next, trustBundle = ca.certificate) => {
			current = { ...next, trustBundle };
			for (const listener of listeners) listener();
		},
	};
}
