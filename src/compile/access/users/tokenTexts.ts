/** The texts of a token for rules: split once per request, and long lists as sets, because many rules read the same ones. */
import { textsAt } from "./claim.js";
import type { VerifiedToken } from "./token.js";

/** Up to this many, comparison is faster than a set. */
const COMPARED_AT_ONCE = 8;

export interface Texts {
	/** A long list has no duplicates. */
	readonly list: readonly string[];
	/** The same texts; null = the list is short. */
	readonly set: ReadonlySet<string> | null;
}

/** Each list is read at its first use. */
export class TokenTexts {
	#groups: Texts | null = null;
	#tenants: Texts | null = null;
	#purposes: Texts | null = null;
	#claims: Map<string, Texts> | null = null;

	constructor(readonly token: VerifiedToken) {}

	get groups(): Texts {
		this.#groups ??= textsOf(this.token.groups);
		return this.#groups;
	}

	get tenants(): Texts {
		this.#tenants ??= textsOf(this.token.tenants);
		return this.#tenants;
	}

	get purposes(): Texts {
		this.#purposes ??= textsOf(this.token.purposes);
		return this.#purposes;
	}

	/**
	 * @param claim as declared
	 * @param path its claimPath()
	 */
	claim(claim: string, path: readonly string[]): Texts {
		this.#claims ??= new Map();
		const known = this.#claims.get(claim);
		if (known !== undefined) return known;
		const texts = textsOf(textsAt(this.token.claims, path));
		this.#claims.set(claim, texts);
		return texts;
	}
}

function textsOf(list: readonly string[]): Texts {
	if (list.length <= COMPARED_AT_ONCE) return { list, set: null };
	const set = new Set(list);
	return { list: [...set], set };
}

/** The texts of the last token are cached: all rules of a Service read the same token. */
let last: TokenTexts | null = null;

export function tokenTexts(token: VerifiedToken): TokenTexts {
	if (last?.token !== token) last = new TokenTexts(token);
	return last;
}

/** Whether one of them is wanted: as many lookups as the smaller set has texts. */
export function hasOne(wanted: ReadonlySet<string>, { list, set }: Texts): boolean {
	if (set !== null && wanted.size < set.size) {
		for (const text of wanted) if (set.has(text)) return true;
		return false;
	}
	for (const text of list) if (wanted.has(text)) return true;
	return false;
}
