/**
 * One workload's SVID at our own CA, and when the next one is due: at half of its life, where another root signs now,
 * and at once where the clock was set back before it. It has no timer: the CA looks (ca.ts).
 */
import { X509Certificate } from "node:crypto";
import { IDENTITY_BACKDATE_MS } from "../../limits/index.js";
import { type SigningRoot, signLeaf } from "./signing.js";
import type { Svid } from "./svid.js";

export interface IssuedIdentityOptions {
	readonly spiffeId: string;
	readonly lifetimeMs: number;
	readonly signer: () => SigningRoot;
	readonly bundle: () => string;
	readonly nowMs: () => number;
	/** Told of each SVID. */
	readonly issued: () => void;
	/** Told of each but the first. */
	readonly changed: () => void;
}

interface Issued {
	readonly svid: Svid;
	readonly signer: SigningRoot;
	readonly atMs: number;
}

export class IssuedIdentity {
	readonly #options: IssuedIdentityOptions;
	#newest: Issued;

	private constructor(options: IssuedIdentityOptions, first: Issued) {
		this.#options = options;
		this.#newest = first;
	}

	/** @throws WeirError `invalid-argument` for an id that is not of the root's trust domain */
	static async start(options: IssuedIdentityOptions): Promise<IssuedIdentity> {
		return new IssuedIdentity(options, await issue(options));
	}

	current(): Svid {
		return this.#newest.svid;
	}

	/** The roots that are believed are others now. */
	bundleChanged(): void {
		this.#newest = { ...this.#newest, svid: { ...this.#newest.svid, trustBundle: this.#options.bundle() } };
	}

	/** When renew() is to be called, in milliseconds of the clock. */
	dueMs(): number {
		const { svid, signer, atMs } = this.#newest;
		const nowMs = this.#options.nowMs();
		// Half of what it was made to begin earlier is left for those whose clocks are behind.
		if (signer !== this.#options.signer() || nowMs < atMs - IDENTITY_BACKDATE_MS / 2) return nowMs;
		return atMs + (svid.notAfterMs - atMs) / 2;
	}

	/** Whether the clock is out of its time, so that nobody takes it. */
	isOver(): boolean {
		const { notBeforeMs, notAfterMs } = this.#newest.svid;
		const nowMs = this.#options.nowMs();
		return nowMs < notBeforeMs || notAfterMs <= nowMs;
	}

	/** A new SVID now, whatever is left of the old one. */
	async renew(): Promise<void> {
		this.#newest = await issue(this.#options);
		this.#options.changed();
	}
}

async function issue({
	spiffeId,
	lifetimeMs,
	nowMs,
	bundle,
	issued,
	...options
}: IssuedIdentityOptions): Promise<Issued> {
	const atMs = nowMs();
	const signer = options.signer();
	const leaf = await signLeaf(signer, { spiffeId, nowMs: atMs, notAfterMs: atMs + lifetimeMs });
	issued();
	const { validFrom, validTo } = new X509Certificate(leaf.certificate);
	const times = { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) };
	return { svid: { spiffeId, ...leaf, trustBundle: bundle(), ...times }, signer, atMs };
}
