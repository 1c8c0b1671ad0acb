/**
 * The client's subscription to one type, by the wildcard rules of state-of-the-world xDS (Envoy's docs,
 * "xDS protocol": how the client specifies what resources to return). Only clusters and listeners have a wildcard. For other types the list is complete.
 */
export class Subscription {
	readonly #hasWildcard: boolean;
	/** Legacy wildcard ends for good with the first name. */
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
	 * Replaces the subscription by the full list of a request.
	 * @returns names that are newly subscribed, and whether the wildcard is new
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
