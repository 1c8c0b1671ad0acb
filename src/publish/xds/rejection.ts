/** Reads a NACK: which resources are rejected, and which declarations they come from. */
import type { EncodedResource } from "./resource.js";
import type { View } from "./snapshot.js";

export interface Rejection {
	readonly hash: string;
	/** The client's error message, made safe to log. */
	readonly message: string;
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
}

/**
 * The rejected ones of the resources that were new to the client: those that the message names, or all if it names
 * none. Envoy accepts the others of the same response. Example: `Error adding/updating cluster(s) a/v2: …`.
 */
export function rejectedOf(changed: readonly EncodedResource[], message: string): readonly EncodedResource[] {
	const named = changed.filter(({ name }) => mentions(message, name));
	return named.length > 0 ? named : changed;
}

/**
 * The declaration behind a rejected resource: the Experiment or Service that the message names, else the only virtual
 * host that changed since the client's last good one, else the resource's own source.
 */
export function sourceOf(rejected: EncodedResource, lastGood: EncodedResource | undefined, message: string): string {
	const named = rejected.parts
		.filter(({ name }) => mentions(message, name))
		.sort((a, b) => b.name.length - a.name.length);
	if (named[0] !== undefined) return named[0].source;
	const good = new Set(lastGood?.parts.map(({ name, hash }) => `${name}\n${hash}`));
	const changed = rejected.parts.filter(({ name, hash }) => hash !== "" && !good.has(`${name}\n${hash}`));
	return changed.length === 1 && changed[0] !== undefined ? changed[0].source : rejected.source;
}

/** Whether the message contains the name as a whole word: `a/v1` is not in `a/v10`. */
export function mentions(message: string, name: string): boolean {
	// Most names are absent, and a text search is much faster than the regular expression.
	if (!message.includes(name)) return false;
	const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
	return new RegExp(`(?<![\\w./|-])${escaped}(?![\\w/|-])`).test(message);
}

/** Rejections whose resource is still published with the same content. */
export function currentRejections(
	rejections: ReadonlyMap<string, Rejection>,
	wanted: View,
): readonly (Rejection & { readonly name: string })[] {
	return [...rejections]
		.filter(([name, { hash }]) => wanted.get(name)?.hash === hash)
		.map(([name, rejection]) => ({ ...rejection, name }));
}
