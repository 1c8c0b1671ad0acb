/**
 * One workload's SVID from our own CA. The next one is due at half of its lifetime, and at once after a root change or when
 * the clock was set back before it was issued. The CA checks the time (ca.ts).
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
	/** Called for each SVID. */
	readonly issued: () => void;
	/** Called for each SVID except the first. */
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

	/** @throws WeirError `invalid-argument` for an id outside the root's trust domain */
	static async start(options: IssuedIdentityOptions): Promise<IssuedIdentity> {
		return new IssuedIdentity(options, await issue(options));
	}

	current(): Svid {
		return this.#newest.svid;
	}

	/** Call it when the trusted roots have changed. */
	bundleChanged(): void {
		this.#newest = { ...this.#newest, svid: { ...this.#newest.svid, trustBundle: this.#options.bundle() } };
	}

	/** When to call renew(), in milliseconds of the wall clock. */
	dueMs(): number {
		const { svid, signer, atMs } = this.#newest;
		const nowMs = this.#options.nowMs();
		// Half of the backdating remains for peers whose clocks are behind.
		if (signer !== this.#options.signer() || nowMs < atMs - IDENTITY_BACKDATE_MS / 2) return nowMs;
		return atMs + (svid.notAfterMs - atMs) / 2;
	}

	/** Whether the SVID is not valid now. */
	isOver(): boolean {
		const { notBeforeMs, notAfterMs } = this.#newest.svid;
		const nowMs = this.#options.nowMs();
		return nowMs < notBeforeMs || notAfterMs <= nowMs;
	}

	/** Issues a new SVID. */
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
