/**
 * XXH64, the only hash of assignment. xxhash-wasm is the engine; this file is its only importer.
 * Envoy hashes the same bytes with the same function (source/common/common/hash.h).
 */
import xxhash from "xxhash-wasm";

export interface Hasher {
	/** XXH64 of the string's UTF-8 bytes; unsigned. */
	readonly hash: (text: string, seed: bigint) => bigint;
	/** XXH64 of the bytes; unsigned. */
	readonly hashBytes: (bytes: Uint8Array, seed: bigint) => bigint;
}

const api = await xxhash();

export const hasher: Hasher = {
	hash: api.h64,
	hashBytes: api.h64Raw,
};

/** 16 lower-case hex digits, for content versions. */
export function contentHash(text: string): string {
	return hasher.hash(text, 0n).toString(16).padStart(16, "0");
}
