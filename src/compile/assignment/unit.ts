/**
 * The unit of assignment: one or more bytes of printable ASCII 0x21–0x7E except the comma, the language of the native guard
 * `^[!-+\--~]+$` (Envoy joins a repeated header with a comma, so the guard refuses it). Anything else is an invalid unit: the
 * default Variant, and no exposure.
 */

/** Longest unit outside Envoy; in Envoy the limit is GATEWAY_HEADERS_KIB. */
export const UNIT_BYTES_MAX = 65_536;

const UNIT = /^[!-+\--~]+$/;

/** Whether a text of at most UNIT_BYTES_MAX is a unit. */
export function isUnit(text: string): boolean {
	return text.length <= UNIT_BYTES_MAX && UNIT.test(text);
}

/**
 * The unit in a value, or null if it is invalid. Nothing is trimmed: claims, cookies and outcomes are used as they are. Bytes
 * are read one to one, so that a non-ASCII byte never becomes a valid one.
 */
export function parseUnit(value: Uint8Array | string): string | null {
	if (typeof value === "string") return isUnit(value) ? value : null;
	if (value.length === 0 || value.length > UNIT_BYTES_MAX) return null;
	for (const byte of value) {
		if (byte < 0x21 || byte > 0x7e || byte === 0x2c) return null;
	}
	return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
}

/**
 * The value without surrounding SP and HTAB, as HTTP parses a header value (RFC 9110 section 5.5). For headers and lines of
 * `weir assign` only; other white space stays.
 */
export function trimUnit(value: string): string;
export function trimUnit(value: Uint8Array): Uint8Array;
export function trimUnit(value: string | Uint8Array): string | Uint8Array {
	let start = 0;
	let end = value.length;
	while (start < end && isBlank(code(value, start))) start++;
	while (end > start && isBlank(code(value, end - 1))) end--;
	if (typeof value === "string") return value.slice(start, end);
	return value.subarray(start, end);
}

function code(value: string | Uint8Array, index: number): number {
	return typeof value === "string" ? value.charCodeAt(index) : (value[index] ?? 0);
}

function isBlank(code: number): boolean {
	return code === 0x20 || code === 0x09;
}
