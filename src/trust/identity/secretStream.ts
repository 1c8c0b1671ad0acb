/**
 * One SDS stream, state of the world: answers its first request at once, and again only when what it asked for has
 * changed or it asks for something else. A rejection is told and waits for the next change. Pure: the socket is the caller's.
 */
import { createHash } from "node:crypto";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { IDENTITY_NAMES_MAX } from "../../limits/index.js";
import type { Svid } from "./svid.js";
import { SECRET_TYPE_URL, type Secret } from "./wire.js";

/** The part of a DiscoveryRequest that is read here. */
export interface SecretRequest {
	readonly typeUrl: string;
	readonly resourceNames: readonly string[];
	readonly responseNonce: string;
	readonly versionInfo: string;
	readonly errorDetail?: { readonly message: string } | undefined;
}

export interface SecretAnswer {
	readonly secrets: readonly Secret[];
	/** Of the content: the same for the same bytes, in every process. */
	readonly version: string;
	readonly nonce: string;
}

export type Refusal = "unknown-type" | "unknown-secret" | "too-many-names";

/** As SPIRE's agent names them: `default` and `ROOTCA`, or the SPIFFE id and `spiffe://TRUST-DOMAIN`. */
export function secretOf(svid: Svid, name: string): Secret | null {
	if (name === "default" || name === svid.spiffeId) {
		return { name, certificate: svid.certificate, privateKey: svid.privateKey };
	}
	if (name === "ROOTCA" || name === `spiffe://${trustDomainOf(svid.spiffeId)}`) {
		return { name, trustBundle: svid.trustBundle };
	}
	return null;
}

/** @returns all secrets under those names, without names both of a workload's; or why there are none */
export function secretsOf(svid: Svid, request: SecretRequest): readonly Secret[] | Refusal {
	if (request.typeUrl !== "" && request.typeUrl !== SECRET_TYPE_URL) return "unknown-type";
	if (request.resourceNames.length > IDENTITY_NAMES_MAX) return "too-many-names";
	const names =
		request.resourceNames.length > 0
			? [...new Set(request.resourceNames)]
			: [svid.spiffeId, `spiffe://${trustDomainOf(svid.spiffeId)}`];
	const secrets = names.map((name) => secretOf(svid, name));
	// Silence would leave a listener waiting for ever: a name that is not this workload's is somebody's mistake.
	return secrets.includes(null) ? "unknown-secret" : secrets.filter((secret) => secret !== null);
}

export class SecretStream {
	readonly #rejected: (words: string) => void;
	#asked: SecretRequest | null = null;
	#sentVersion = "";
	#sentNames = "";
	#nonce = 0;

	constructor(rejected: (words: string) => void) {
		this.#rejected = rejected;
	}

	/** @returns what to send now, null for nothing, or why the stream must end */
	request(request: SecretRequest, svid: Svid): SecretAnswer | Refusal | null {
		const first = this.#asked === null;
		// An answer to something older than what was sent last: the newer one's is still to come.
		if (!first && request.responseNonce !== String(this.#nonce)) return null;
		this.#asked = request;
		if (request.errorDetail !== undefined) {
			this.#rejected(request.errorDetail.message.slice(0, 200));
			return null;
		}
		return this.#answer(svid, first);
	}

	/** @returns what to send after the identity has changed, null for nothing */
	changed(svid: Svid): SecretAnswer | Refusal | null {
		return this.#asked === null ? null : this.#answer(svid, false);
	}

	#answer(svid: Svid, always: boolean): SecretAnswer | Refusal | null {
		if (this.#asked === null) return null;
		const secrets = secretsOf(svid, this.#asked);
		if (typeof secrets === "string") return secrets;
		const version = versionOf(secrets);
		const names = secrets.map(({ name }) => name).join("\n");
		if (!always && version === this.#sentVersion && names === this.#sentNames) return null;
		this.#sentVersion = version;
		this.#sentNames = names;
		this.#nonce++;
		return { secrets, version, nonce: String(this.#nonce) };
	}
}

export function versionOf(secrets: readonly Secret[]): string {
	const hash = createHash("sha256");
	for (const secret of secrets) {
		hash.update("trustBundle" in secret ? secret.trustBundle : secret.certificate).update("\0");
	}
	return hash.digest("hex").slice(0, 16);
}
