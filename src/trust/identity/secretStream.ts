/**
 * One SDS stream (state of the world): responds to the first request at once, later only when the secrets or the requested
 * names have changed. A NACK is reported; the next response waits for a change. Pure: the caller has the socket.
 */
import { createHash } from "node:crypto";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import type { Svid } from "./svid.js";
import { SECRET_TYPE_URL, type Secret } from "./wire.js";

/** Secrets that one SDS request may name: an agent has two. */
const IDENTITY_NAMES_MAX = 16;

/** The fields of a DiscoveryRequest that are used. */
export interface SecretRequest {
	readonly typeUrl: string;
	readonly resourceNames: readonly string[];
	readonly responseNonce: string;
	readonly versionInfo: string;
	readonly errorDetail?: { readonly message: string } | undefined;
}

export interface SecretAnswer {
	readonly secrets: readonly Secret[];
	/** A hash of the content: the same in every process. */
	readonly version: string;
	readonly nonce: string;
}

export type Refusal = "unknown-type" | "unknown-secret" | "too-many-names";

/** Names as in a SPIRE agent: `default` and `ROOTCA`, or the SPIFFE id and `spiffe://TRUST-DOMAIN`. */
export function secretOf(svid: Svid, name: string): Secret | null {
	if (name === "default" || name === svid.spiffeId) {
		return { name, certificate: svid.certificate, privateKey: svid.privateKey };
	}
	if (name === "ROOTCA" || name === `spiffe://${trustDomainOf(svid.spiffeId)}`) {
		return { name, trustBundle: svid.trustBundle };
	}
	return null;
}

/** @returns the named secrets; certificate and bundle, if there are no names; or the refusal */
export function secretsOf(svid: Svid, request: SecretRequest): readonly Secret[] | Refusal {
	if (request.typeUrl !== "" && request.typeUrl !== SECRET_TYPE_URL) return "unknown-type";
	if (request.resourceNames.length > IDENTITY_NAMES_MAX) return "too-many-names";
	const names =
		request.resourceNames.length > 0
			? [...new Set(request.resourceNames)]
			: [svid.spiffeId, `spiffe://${trustDomainOf(svid.spiffeId)}`];
	const secrets = names.map((name) => secretOf(svid, name));
	// A refusal, because without a response an Envoy listener would wait for ever.
	return secrets.includes(null) ? "unknown-secret" : secrets.filter((secret) => secret !== null);
}

export class SecretStream {
	readonly #rejected: (reason: string) => void;
	#lastRequest: SecretRequest | null = null;
	#sentVersion = "";
	#sentNames = "";
	#nonce = 0;

	constructor(rejected: (reason: string) => void) {
		this.#rejected = rejected;
	}

	/** @returns what to send now, null for nothing, or why the stream must end */
	request(request: SecretRequest, svid: Svid): SecretAnswer | Refusal | null {
		const first = this.#lastRequest === null;
		// A stale nonce: the request for the newest response will follow.
		if (!first && request.responseNonce !== String(this.#nonce)) return null;
		this.#lastRequest = request;
		if (request.errorDetail !== undefined) {
			this.#rejected(request.errorDetail.message.slice(0, 200));
			return null;
		}
		return this.#answer(svid, first);
	}

	/** @returns what to send after the identity has changed, null for nothing */
	changed(svid: Svid): SecretAnswer | Refusal | null {
		return this.#lastRequest === null ? null : this.#answer(svid, false);
	}

	#answer(svid: Svid, always: boolean): SecretAnswer | Refusal | null {
		if (this.#lastRequest === null) return null;
		const secrets = secretsOf(svid, this.#lastRequest);
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
