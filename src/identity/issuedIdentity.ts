/** One workload's SVID at our own CA: issued anew at half of its life, and whenever another root signs. */
import { X509Certificate } from "node:crypto";
import type { Say } from "./ports.js";
import { type SigningRoot, signLeaf } from "./signing.js";
import type { Svid } from "./svid.js";

export interface IssuedIdentityOptions {
	readonly spiffeId: string;
	readonly lifetimeMs: number;
	readonly signer: () => SigningRoot;
	readonly bundle: () => string;
	readonly log: Say;
	/** Told of each SVID. */
	readonly issued: () => void;
	/** Told of each but the first. */
	readonly changed: () => void;
}

const RETRY_MS = 1_000;
const TIMER_MAX_MS = 2 ** 31 - 1;

export class IssuedIdentity {
	readonly #options: IssuedIdentityOptions;
	#svid: Svid;
	#timer: NodeJS.Timeout | null = null;
	#stopped = false;

	private constructor(options: IssuedIdentityOptions, svid: Svid) {
		this.#options = options;
		this.#svid = svid;
		this.#schedule();
	}

	/** @throws WeirError `invalid-argument` for an id that is not of the root's trust domain */
	static async start(options: IssuedIdentityOptions): Promise<IssuedIdentity> {
		return new IssuedIdentity(options, await issue(options));
	}

	current(): Svid {
		return this.#svid;
	}

	/** The roots that are believed are others now. */
	bundleChanged(): void {
		this.#svid = { ...this.#svid, trustBundle: this.#options.bundle() };
	}

	/** A new SVID now, whatever is left of the old one. */
	async renew(): Promise<void> {
		const svid = await issue(this.#options);
		if (this.#stopped) return;
		this.#svid = svid;
		this.#schedule();
		this.#options.changed();
	}

	stop(): void {
		this.#stopped = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	#schedule(waitMs = (this.#svid.notAfterMs - Date.now()) / 2): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = setTimeout(
			() => {
				this.renew().catch((error: unknown) => {
					this.#options.log(`an SVID of ${this.#options.spiffeId} cannot be issued: ${(error as Error).message}`);
					if (!this.#stopped) this.#schedule(RETRY_MS);
				});
			},
			Math.min(Math.max(waitMs, 0), TIMER_MAX_MS),
		);
	}
}

async function issue({ spiffeId, lifetimeMs, signer, bundle, issued }: IssuedIdentityOptions): Promise<Svid> {
	const nowMs = Date.now();
	const { certificate, privateKey } = await signLeaf(signer(), { spiffeId, nowMs, notAfterMs: nowMs + lifetimeMs });
	issued();
	const { validFrom, validTo } = new X509Certificate(certificate);
	return {
		spiffeId,
		certificate,
		privateKey,
		trustBundle: bundle(),
		notBeforeMs: Date.parse(validFrom),
		notAfterMs: Date.parse(validTo),
	};
}
