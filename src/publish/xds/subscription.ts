/**
 * What a client wants of one type, by the wildcard rules of state-of-the-world xDS (controlplane reference W1, W2).
 * Wildcard exists for clusters and listeners only; for the other types the list is the whole wish.
 */
export class Subscription {
	readonly #hasWildcard: boolean;
	/** Legacy wildcard ends for good with the first name (W1). */
	#named = false;
	#wildcard = false;
	#names: ReadonlySet<string> = new Set();

	constructor(hasWildcard: boolean) {
		this.#hasWildcard = hasWildcard;
	}

	get wildcard(): boolean {
		return this.#wildcard;
	}

	get names(): ReadonlySet<string> {
		return this.#names;
	}

	wants(name: string): boolean {
		return this.#wildcard || this.#names.has(name);
	}

	/**
	 * Takes the full list of a request (W2).
	 * @returns names that were not wanted by name before, and whether the wildcard is new.
	 */
	replace(list: readonly string[]): { readonly added: readonly string[]; readonly wildcardAdded: boolean } {
		if (list.length > 0) this.#named = true;
		const before = { names: this.#names, wildcard: this.#wildcard };
		this.#wildcard = this.#hasWildcard && (this.#named ? list.includes("*") : true);
		this.#names = new Set(this.#hasWildcard ? list.filter((name) => name !== "*") : list);
		return {
			added: [...this.#names].filter((name) => !before.names.has(name)),
			wildcardAdded: this.#wildcard && !before.wildcard,
		};
	}
}
