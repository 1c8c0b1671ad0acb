/** An identity as processes use it: certificate, key and the roots that it believes, renewed while it is used. */

import type { Validity } from "./validity.js";

export interface Svid extends Validity {
	readonly spiffeId: string;
	/** PEM, leaf first. */
	readonly certificate: string;
	/** PEM, PKCS #8. */
	readonly privateKey: string;
	/** PEM: the roots of the own trust domain. Those of other domains are never mixed in: each root may speak for its own only. */
	readonly trustBundle: string;
}

/** Who this process is, and how it reads who others are. */
export interface Identity {
	/**
	 * The newest; the last good one while the agent is away.
	 * @throws WeirError `unavailable` once that has ended
	 */
	current(): Svid;
	/** Called when current() has changed. @returns stops it */
	onRotated(listener: () => void): () => void;
	/** SPIFFE id of a certificate (DER) that TLS has verified; null = it is no SVID of the own trust domain. */
	idOf(certificate: Uint8Array): string | null;
}
