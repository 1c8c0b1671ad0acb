/**
 * The roots of one trust domain and their succession. A root is believed before it signs: it enters the bundle at half
 * of the signing root's life and takes over at five sixths (as SPIRE does), so everyone has it by then. An old one stays
 * believed until the last SVID that it signed has ended.
 */
import { WeirError } from "../../error.js";
import type { Say } from "./ports.js";
import type { KeptRoots, RootStore } from "./rootStore.js";
import { checkTrustDomain, makeRoot, readRoot, type SigningRoot } from "./signing.js";

export interface RootsOptions {
	readonly trustDomain: string;
	readonly rootLifetimeMs: number;
	readonly svidLifetimeMs: number;
	readonly nowMs: () => number;
	/** Told of a root that was kept and is of no use. */
	readonly log?: Say;
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
		const { trustDomain, nowMs, log = () => {} } = options;
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
		if (kept !== null && living === null) {
			log("no root that is kept is of this time by the clock: a new one signs, and it alone is believed");
		}
		const { old, signer, next } = living ?? { old: [], signer: await newRoot(options), next: null };
		const roots = new Roots(store, options, old, signer, next);
		await roots.#become(old, signer, next);
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

	/** Puts the next root into the bundle, where there is none that can be used. @returns true when the bundle has changed */
	async prepare(): Promise<boolean> {
		if (this.#next !== null && this.#inItsTime(this.#next)) return false;
		await this.#become(this.#old, this.#signer, await this.#newRoot());
		return true;
	}

	/** The next root signs from now on; the old key is forgotten. @returns false where none is prepared */
	async activate(): Promise<boolean> {
		if (this.#next === null) return false;
		const now = this.#options.nowMs();
		const untilMs = Math.min(this.#signer.notAfterMs, now + this.#options.svidLifetimeMs);
		const old = [...this.#old.filter((one) => one.untilMs > now), { certificate: this.#signer.certificate, untilMs }];
		await this.#become(old, this.#next, null);
		return true;
	}

	/**
	 * A root of now signs, and it alone is believed: of the one before nothing can be in use, for the clock is out of its
	 * time. No overlap, therefore: everyone has to take the new one, and nobody loses by it.
	 */
	async replace(): Promise<void> {
		await this.#become([], await this.#newRoot(), null);
	}

	/** Whether the clock is in the time of the root that signs, so that what it signs can be taken by anyone. */
	get usable(): boolean {
		return this.#inItsTime(this.#signer);
	}

	/** What is due, and when: the first of these moments, in milliseconds of the clock; replace() and what goes for it, now. */
	due(): { readonly what: "replace" | "prepare" | "activate" | "forget"; readonly atMs: number } {
		const nowMs = this.#options.nowMs();
		const next = this.#next !== null && this.#inItsTime(this.#next) ? this.#next : null;
		if (!this.usable) return { what: next === null ? "replace" : "activate", atMs: nowMs };
		const { bornMs, notAfterMs } = this.#signer;
		const lifeMs = notAfterMs - bornMs;
		const forgetMs = Math.min(...this.#old.map(({ untilMs }) => untilMs));
		// One that is prepared and of the future, as the clock was set back, might be of no use at its turn.
		const prepareMs = this.#next === null ? bornMs + lifeMs / 2 : nowMs;
		const [what, atMs] =
			next === null
				? (["prepare", prepareMs] as const)
				: (["activate", Math.max(bornMs + (lifeMs * 5) / 6, this.#overlapEndMs(next))] as const);
		return forgetMs < atMs ? { what: "forget", atMs: forgetMs } : { what, atMs };
	}

	/** After a long stop the next root may be prepared late: it is believed for a while before it signs all the same. */
	#overlapEndMs(next: SigningRoot): number {
		return Math.min(next.bornMs + this.#options.svidLifetimeMs / 2, this.#signer.notAfterMs);
	}

	/** Removes those that nobody needs any more. */
	async forget(): Promise<void> {
		const now = this.#options.nowMs();
		const old = this.#old.filter(({ untilMs }) => untilMs > now);
		await this.#become(old, this.#signer, this.#next);
	}

	#inItsTime(root: SigningRoot): boolean {
		return inItsTime(root, this.#options.nowMs());
	}

	#newRoot(): Promise<SigningRoot> {
		return newRoot(this.#options);
	}

	/** On the disk first: what was shown to others must not be forgotten. */
	async #become(old: readonly Believed[], signer: SigningRoot, next: SigningRoot | null): Promise<void> {
		const kept = [
			...old.map(({ certificate, untilMs }) => ({ certificate, privateKey: null, untilMs })),
			...[signer, ...(next === null ? [] : [next])].map(({ certificate, privateKey }) => ({
				certificate,
				privateKey,
				untilMs: null,
			})),
		];
		await this.#store.write({ trustDomain: this.#options.trustDomain, roots: kept, signer: old.length });
		this.#old = old;
		this.#signer = signer;
		this.#next = next;
	}
}

function newRoot({ trustDomain, nowMs, rootLifetimeMs }: RootsOptions): Promise<SigningRoot> {
	const now = nowMs();
	return makeRoot({ trustDomain, commonName: "Weir CA", nowMs: now, notAfterMs: now + rootLifetimeMs });
}

function inItsTime({ notBeforeMs, notAfterMs }: SigningRoot, nowMs: number): boolean {
	return notBeforeMs <= nowMs && nowMs < notAfterMs;
}

/**
 * Without the roots that sign and whose time the clock is out of: ended ones, and those of the future, made while the clock
 * was ahead.
 * @returns null where none is left: nothing of them can be in use
 */
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
	const [signing, next] = read.filter((root) => inItsTime(root, nowMs));
	if (signing === undefined) return null;
	const old = roots.slice(0, signer).map(({ certificate, untilMs }) => ({ certificate, untilMs: untilMs ?? nowMs }));
	return { old, signer: signing, next: next ?? null };
}
