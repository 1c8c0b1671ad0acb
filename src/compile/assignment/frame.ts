/**
 * A buffer for salt, colon and unit, so that a unit is checked and copied once, then hashed alone and salted without making a
 * string. Joining `salt + ":" + unit` and flattening it for the engine would take assign() from about 0.9 to 0.55 of the
 * speed of two bare hashes (test/bench/assign.ts). Views of the buffer are cached by length, because creating one costs as
 * much as the hash.
 */

/** Longer units use the string path: user ids are short, and the views are never freed. */
export const FRAME_UNIT_BYTES_MAX = 128;

export interface UnitFrame {
	readonly bytes: Uint8Array;
	/** Offset of the unit: the length of the prefix. */
	readonly start: number;
	/** By length of the unit: the unit alone. */
	readonly unit: readonly Uint8Array[];
	/** By length of the unit: prefix and unit. */
	readonly salted: readonly Uint8Array[];
}

/** @param prefix salt + ":", ASCII */
export function unitFrame(prefix: string): UnitFrame {
	const start = prefix.length;
	const bytes = new Uint8Array(start + FRAME_UNIT_BYTES_MAX);
	for (let index = 0; index < start; index++) bytes[index] = prefix.charCodeAt(index);
	const lengths = Array.from({ length: FRAME_UNIT_BYTES_MAX + 1 }, (_, length) => length);
	return {
		bytes,
		start,
		unit: lengths.map((length) => bytes.subarray(start, start + length)),
		salted: lengths.map((length) => bytes.subarray(0, start + length)),
	};
}

/**
 * Writes a unit of at most FRAME_UNIT_BYTES_MAX characters into the frame's bytes; false if it is invalid. The check is
 * isUnit()'s, merged into the copy.
 */
export function loadUnit(bytes: Uint8Array, start: number, unit: string): boolean {
	const { length } = unit;
	for (let index = 0; index < length; index++) {
		const code = unit.charCodeAt(index);
		if (code < 0x21 || code > 0x7e || code === 0x2c) return false;
		bytes[start + index] = code;
	}
	return length > 0;
}
