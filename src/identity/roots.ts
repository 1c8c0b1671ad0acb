/**
 * The roots of one trust domain and their succession. A root is believed before it signs: it enters the bundle at half
 * of the signing root's life and takes over at five sixths (as SPIRE does), so everyone has it by then. An old one stays
 * believed until the last SVID that it signed has ended.
 */
import { WeirError } from "../error.js";
import type { KeptRoots, RootStore } from "./rootStore.js";
import { checkTrustDomain, makeRoot, readRoot, type SigningRoot } from "./signing.js";

export interface RootsOptions {
	readonly trustDomain: string;
	readonly rootLifetimeMs: number;
	readonly svidLifetimeMs: number;
	readonly nowMs: () => number;
}

interface Believed {
	readonly certificate: string;
	/** From then on nobody needs it. */
	readonly untilMs: number;
}

export class Roots {
	readonly #store: RootStore;
	readonly #options: RootsOptions;
	/** Signed before; keys are gone. */
	#old: readonly Believed[];
	#signer: SigningRoot;
	#next: SigningRoot | null;

	private constructor(
		store: RootStore,
		options: RootsOptions,
		old: readonly Believed[],
		signer: SigningRoot,
		next: SigningRoot | null,
	) {
		this.#store = store;
		this.#options = options;
		this.#old = old;
		this.#signer = signer;
		this.#next = next;
	}

	/** @throws WeirError `failed-precondition` where the folder holds another trust domain's roots */
	static async open(store: RootStore, options: RootsOptions): Promise<Roots> {
		const { trustDomain, nowMs, rootLifetimeMs } = options;
		checkTrustDomain(trustDomain);
		const kept = await store.read();
		if (kept !== null && kept.trustDomain !== trustDomain) {
			throw new WeirError(
				"failed-precondition",
				`the roots kept here are those of ${kept.trustDomain}, not ${trustDomain}`,
				"name another directory",
			);
		}
		const living = kept === null ? null : await restore(kept, nowMs());
		const roots = new Roots(
			store,
			options,
			living?.old ?? [],
			living?.signer ?? (await newRoot(trustDomain, nowMs(), rootLifetimeMs)),
			living?.next ?? null,
		);
		await roots.#write();
		return roots;
	}

	get signer(): SigningRoot {
		return this.#signer;
	}

	/** All that are believed now, PEM, oldest first. */
	bundle(): string {
		const now = this.#options.nowMs();
		return [
			...this.#old.filter(({ untilMs }) => untilMs > now),
			this.#signer,
			...(this.#next === null ? [] : [this.#next]),
		]
			.map(({ certificate }) => (certificate.endsWith("\n") ? certificate : `${certificate}\n`))
			.join("");
	}

	/** Puts the next root into the bundle, where there is none yet. @returns true when the bundle has changed */
	async prepare(): Promise<boolean> {
		if (this.#next !== null) return false;
		const { trustDomain, nowMs, rootLifetimeMs } = this.#options;
		this.#next = await newRoot(trustDomain, nowMs(), rootLifetimeMs);
		await this.#write();
		return true;
	}

	/** The next root signs from now on; the old key is forgotten. @returns false where none is prepared */
	async activate(): Promise<boolean> {
		if (this.#next === null) return false;
		const now = this.#options.nowMs();
		const untilMs = Math.min(this.#signer.notAfterMs, now + this.#options.svidLifetimeMs);
		this.#old = [...this.#old.filter((old) => old.untilMs > now), { certificate: this.#signer.certificate, untilMs }];
		this.#signer = this.#next;
		this.#next = null;
		await this.#write();
		return true;
	}

	/** What is due, and when: the first of these moments, in milliseconds of the clock. */
	due(): { readonly what: "prepare" | "activate" | "forget"; readonly atMs: number } {
		const { bornMs, notAfterMs } = this.#signer;
		const lifeMs = notAfterMs - bornMs;
		const forgetMs = Math.min(...this.#old.map(({ untilMs }) => untilMs));
		const [what, atMs] =
			this.#next === null
				? (["prepare", bornMs + lifeMs / 2] as const)
				: (["activate", Math.max(bornMs + (lifeMs * 5) / 6, this.#overlapEndMs(this.#next))] as const);
		return forgetMs < atMs ? { what: "forget", atMs: forgetMs } : { what, atMs };
	}

	/** After a long stop the next root may be prepared late: it is believed for a while before it signs all the same. */
	#overlapEndMs(next: SigningRoot): number {
		return Math.min(next.bornMs + this.#options.svidLifetimeMs / 2, this.#signer.notAfterMs);
	}

	/** Removes those that nobody needs any more. */
	async forget(): Promise<void> {
		const now = this.#options.nowMs();
		this.#old = this.#old.filter(({ untilMs }) => untilMs > now);
		await this.#write();
	}

	#write(): Promise<void> {
		const kept = [
			...this.#old.map(({ certificate, untilMs }) => ({ certificate, privateKey: null, untilMs })),
			...[this.#signer, ...(this.#next === null ? [] : [this.#next])].map(({ certificate, privateKey }) => ({
				certificate,
				privateKey,
				untilMs: null,
			})),
		];
		return this.#store.write({ trustDomain: this.#options.trustDomain, roots: kept, signer: this.#old.length });
	}
}

function newRoot(trustDomain: string, nowMs: number, lifetimeMs: number): Promise<SigningRoot> {
	return makeRoot({ trustDomain, commonName: "Weir CA", nowMs, notAfterMs: nowMs + lifetimeMs });
}

/** @returns null where the signing root has ended: nothing of it can be in use */
async function restore(
	{ trustDomain, roots, signer }: KeptRoots,
	nowMs: number,
): Promise<{ old: readonly Believed[]; signer: SigningRoot; next: SigningRoot | null } | null> {
	const read = await Promise.all(
		roots
			.slice(signer)
			.flatMap(({ certificate, privateKey }) =>
				privateKey === null ? [] : [readRoot(trustDomain, { certificate, privateKey })],
			),
	);
	const [signing, next] = read;
	if (signing === undefined || signing.notAfterMs <= nowMs) return null;
	const old = roots.slice(0, signer).map(({ certificate, untilMs }) => ({ certificate, untilMs: untilMs ?? nowMs }));
	return { old, signer: signing, next: next ?? null };
}
