/** Reading a NACK: which resources it is about, and which declaration they came from. */
import type { EncodedResource } from "./resource.js";
import type { View } from "./snapshot.js";

export interface Rejection {
	readonly hash: string;
	/** The client's own words, as they are told. */
	readonly words: string;
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
}

/**
 * Of the resources that were new to the client, those that its words name; all of them where it names none. Envoy
 * takes the others of the same response, and says e.g. `Error adding/updating cluster(s) a/v2: …`.
 */
export function blamed(changed: readonly EncodedResource[], words: string): readonly EncodedResource[] {
	const named = changed.filter(({ name }) => mentions(words, name));
	return named.length > 0 ? named : changed;
}

/**
 * The declaration behind a rejected resource: the experiment or service that the words name, else the only virtual
 * host that changed since the client's last good one, else the resource's own source.
 */
export function sourceOf(rejected: EncodedResource, lastGood: EncodedResource | undefined, words: string): string {
	const named = rejected.parts
		.filter(({ name }) => mentions(words, name))
		.sort((a, b) => b.name.length - a.name.length);
	if (named[0] !== undefined) return named[0].source;
	const good = new Set(lastGood?.parts.map(({ name, hash }) => `${name}\n${hash}`));
	const changed = rejected.parts.filter(({ name, hash }) => hash !== "" && !good.has(`${name}\n${hash}`));
	return changed.length === 1 && changed[0] !== undefined ? changed[0].source : rejected.source;
}

/** As a whole word: `a/v1` is not in `a/v10`. */
export function mentions(words: string, name: string): boolean {
	// Most are not, and a search is many times faster than the expression.
	if (!words.includes(name)) return false;
	const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
	return new RegExp(`(?<![\\w./|-])${escaped}(?![\\w/|-])`).test(words);
}

/** The rejections that still hold against what should be served. */
export function standing(
	rejections: ReadonlyMap<string, Rejection>,
	wanted: View,
): readonly (Rejection & { readonly name: string })[] {
	return [...rejections]
		.filter(([name, { hash }]) => wanted.get(name)?.hash === hash)
		.map(([name, rejection]) => ({ ...rejection, name }));
}
