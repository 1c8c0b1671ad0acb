/**
 * The roots of one trust domain and their rotation. As in SPIRE, the next root enters the bundle at half of the signing
 * root's lifetime and signs from five sixths on, so all clients trust it by then. An old root stays in the bundle until its
 * last SVID has ended.
 */
import { WeirError } from "../../error.js";
import type { LogLine } from "./ports.js";
import type { KeptRoots, RootStore } from "./rootStore.js";
import { checkTrustDomain, makeRoot, readRoot, type SigningRoot } from "./signing.js";

export interface RootsOptions {
	readonly trustDomain: string;
	readonly rootLifetimeMs: number;
	readonly svidLifetimeMs: number;
	readonly nowMs: () => number;
	readonly log?: LogLine;
}

interface OldRoot {
	readonly certificate: string;
	/** When its last SVID ends. */
	readonly untilMs: number;
}

export class Roots {
	readonly #store: RootStore;
	readonly #options: RootsOptions;
	/** Previous signing roots, without keys. */
	#old: readonly OldRoot[];
	#signer: SigningRoot;
	#next: SigningRoot | null;

	private constructor(
		store: RootStore,
		options: RootsOptions,
		old: readonly OldRoot[],
		signer: SigningRoot,
		next: SigningRoot | null,
	) {
		this.#store = store;
		this.#options = options;
		this.#old = old;
		this.#signer = signer;
		this.#next = next;
	}

	/** @throws WeirError `failed-precondition` if the folder holds roots of another trust domain */
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
		const restored = kept === null ? null : await restore(kept, nowMs());
		if (kept !== null && restored === null) {
			log("no stored signing root is valid now: a new one replaces all roots");
		}
		const { old, signer, next } = restored ?? { old: [], signer: await newRoot(options), next: null };
		const roots = new Roots(store, options, old, signer, next);
		await roots.#save(old, signer, next);
		return roots;
	}

	get signer(): SigningRoot {
		return this.#signer;
	}

	/** All trusted roots, PEM, oldest first. */
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

	/** Adds a next root to the bundle, unless a valid one is there. @returns whether the bundle has changed */
	async prepare(): Promise<boolean> {
		if (this.#next !== null && this.#isValid(this.#next)) return false;
		await this.#save(this.#old, this.#signer, await this.#newRoot());
		return true;
	}

	/** Lets the next root sign and deletes the old key. @returns false if there is no next root */
	async activate(): Promise<boolean> {
		if (this.#next === null) return false;
		const now = this.#options.nowMs();
		const untilMs = Math.min(this.#signer.notAfterMs, now + this.#options.svidLifetimeMs);
		const old = [...this.#old.filter((one) => one.untilMs > now), { certificate: this.#signer.certificate, untilMs }];
		await this.#save(old, this.#next, null);
		return true;
	}

	/** Replaces all roots by a new one at once. Only for a signing root that is not valid now, so none of its SVIDs is in use. */
	async replace(): Promise<void> {
		await this.#save([], await this.#newRoot(), null);
	}

	/** Whether the signing root is valid now. */
	get usable(): boolean {
		return this.#isValid(this.#signer);
	}

	/** The next change and its time in milliseconds of the wall clock. */
	due(): { readonly what: "replace" | "prepare" | "activate" | "forget"; readonly atMs: number } {
		const nowMs = this.#options.nowMs();
		const next = this.#next !== null && this.#isValid(this.#next) ? this.#next : null;
		if (!this.usable) return { what: next === null ? "replace" : "activate", atMs: nowMs };
		const { bornMs, notAfterMs } = this.#signer;
		const lifeMs = notAfterMs - bornMs;
		const forgetMs = Math.min(...this.#old.map(({ untilMs }) => untilMs));
		// After the clock was set back, a next root may not be valid yet: prepare another now.
		const prepareMs = this.#next === null ? bornMs + lifeMs / 2 : nowMs;
		const [what, atMs] =
			next === null
				? (["prepare", prepareMs] as const)
				: (["activate", Math.max(bornMs + (lifeMs * 5) / 6, this.#overlapEndMs(next))] as const);
		return forgetMs < atMs ? { what: "forget", atMs: forgetMs } : { what, atMs };
	}

	/** After a long stop the next root may be prepared late: it still must be in the bundle for a while before it signs. */
	#overlapEndMs(next: SigningRoot): number {
		return Math.min(next.bornMs + this.#options.svidLifetimeMs / 2, this.#signer.notAfterMs);
	}

	/** Removes old roots whose SVIDs have all ended. */
	async forget(): Promise<void> {
		const now = this.#options.nowMs();
		const old = this.#old.filter(({ untilMs }) => untilMs > now);
		await this.#save(old, this.#signer, this.#next);
	}

	#isValid(root: SigningRoot): boolean {
		return isValid(root, this.#options.nowMs());
	}

	#newRoot(): Promise<SigningRoot> {
		return newRoot(this.#options);
	}

	/** Writes the disk first: a root that clients trust must survive a crash. */
	async #save(old: readonly OldRoot[], signer: SigningRoot, next: SigningRoot | null): Promise<void> {
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

function isValid({ notBeforeMs, notAfterMs }: SigningRoot, nowMs: number): boolean {
	return notBeforeMs <= nowMs && nowMs < notAfterMs;
}

/** Loads the stored roots, without signing roots that are not valid now. @returns null if no signing root is left */
async function restore(
	{ trustDomain, roots, signer }: KeptRoots,
	nowMs: number,
): Promise<{ old: readonly OldRoot[]; signer: SigningRoot; next: SigningRoot | null } | null> {
	const read = await Promise.all(
		roots
			.slice(signer)
			.flatMap(({ certificate, privateKey }) =>
				privateKey === null ? [] : [readRoot(trustDomain, { certificate, privateKey })],
			),
	);
	const [signing, next] = read.filter((root) => isValid(root, nowMs));
	if (signing === undefined) return null;
	const old = roots.slice(0, signer).map(({ certificate, untilMs }) => ({ certificate, untilMs: untilMs ?? nowMs }));
	return { old, signer: signing, next: next ?? null };
}
