/** Hashes of all prefixes of a text that end before a slash, in one pass and without substrings. */

/** FNV-1a in 32 bits: only finds candidates, which are compared in full. */
const SEED = 0x811c9dc5 | 0;
const PRIME = 0x01000193;
const SLASH = 0x2f;

/** Hash of a whole prefix (without trailing slash), equal to that of prefixHashes(). */
export function hashOf(prefix: string): number {
	let hash = SEED;
	for (let at = 0; at < prefix.length; at++) hash = Math.imul(hash ^ prefix.charCodeAt(at), PRIME);
	return hash;
}

/**
 * Stores the hash of the text before each slash, then that of the whole text, up to the array's length.
 * @param charsMax longest prefix that matters
 * @returns how many were stored
 */
export function prefixHashes(text: string, charsMax: number, into: Int32Array): number {
	const end = Math.min(text.length, charsMax);
	let hash = SEED;
	let count = 0;
	for (let at = 0; at < end; at++) {
		const code = text.charCodeAt(at);
		if (code === SLASH) {
			into[count++] = hash;
			if (count === into.length) return count;
		}
		hash = Math.imul(hash ^ code, PRIME);
	}
	if (end === text.length || text.charCodeAt(end) === SLASH) into[count++] = hash;
	return count;
}
