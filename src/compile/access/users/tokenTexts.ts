/**
 * What a token says, as rules look for it: split once for a request, however many rules ask, and long lists as sets. A token
 * names what its issuer likes of groups and scopes, and rules of a Service are asked about the same ones.
 */
import { textsAt } from "./claim.js";
import type { VerifiedToken } from "./token.js";

/** So few are sooner compared than made a set of. */
const COMPARED_AT_ONCE = 8;

export interface Texts {
	/** A long list without what it repeats. */
	readonly list: readonly string[];
	/** Of a long list. */
	readonly set: ReadonlySet<string> | null;
}

/** Each list is looked at when it is first asked for. */
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

/** Of the token that was asked about last: all rules of a Service are asked about one. */
let last: TokenTexts | null = null;

export function tokenTexts(token: VerifiedToken): TokenTexts {
	if (last?.token !== token) last = new TokenTexts(token);
	return last;
}

/** Whether one of them is wanted: as many comparisons as the smaller of the two has texts. */
export function hasOne(wanted: ReadonlySet<string>, { list, set }: Texts): boolean {
	if (set !== null && wanted.size < set.size) {
		for (const text of wanted) if (set.has(text)) return true;
		return false;
	}
	for (const text of list) if (wanted.has(text)) return true;
	return false;
}
