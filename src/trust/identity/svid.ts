/** An SVID with its trusted roots, and the identity of a process that renews it. */

import type { Validity } from "./validity.js";

export interface Svid extends Validity {
	readonly spiffeId: string;
	/** PEM, leaf first. */
	readonly certificate: string;
	/** PEM, PKCS #8. */
	readonly privateKey: string;
	/** PEM: the roots of the own trust domain only, because a root may sign only for its own domain. */
	readonly trustBundle: string;
}

/** The identity of this process, and the check of its peers' ids. */
export interface Identity {
	/**
	 * The newest SVID; the last valid one while the agent is unavailable.
	 * @throws WeirError `unavailable` once it has ended
	 */
	current(): Svid;
	/** Called when current() has changed. @returns stops it */
	onRotated(listener: () => void): () => void;
	/** SPIFFE id of a certificate (DER) that TLS has verified; null = no SVID of the own trust domain. */
	idOf(certificate: Uint8Array): string | null;
}
