/** Units in cookies. Cookies are split by RFC 6265 section 5.4, not decoded or unquoted, so that every execution sees the same bytes. */
import { randomFillSync } from "node:crypto";

/** The cookie's only value; null if it is absent; "repeated" if it occurs several times. */
export function cookieValue(headers: readonly string[], name: string): string | null | { readonly repeated: true } {
	let found: string | null = null;
	for (const header of headers) {
		let start = 0;
		while (start <= header.length) {
			let end = header.indexOf(";", start);
			if (end < 0) end = header.length;
			const from = skipBlanks(header, start, end);
			if (header.startsWith(name, from) && header.charCodeAt(from + name.length) === EQUALS) {
				const valueAt = from + name.length + 1;
				if (valueAt <= end) {
					if (found !== null) return REPEATED;
					found = header.slice(valueAt, trimBlanks(header, valueAt, end));
				}
			}
			start = end + 1;
		}
	}
	return found;
}

const REPEATED = { repeated: true } as const;
const EQUALS = 0x3d;

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function skipBlanks(text: string, start: number, end: number): number {
	let at = start;
	while (at < end && isBlank(text.charCodeAt(at))) at++;
	return at;
}

function trimBlanks(text: string, start: number, end: number): number {
	let at = end;
	while (at > start && isBlank(text.charCodeAt(at - 1))) at--;
	return at;
}

/** The Set-Cookie value that keeps a minted unit (RFC 6265 section 4.1; SameSite: RFC 6265bis). */
export function setCookie(name: string, unit: string, maxAgeMs: number, secure: boolean): string {
	const seconds = Math.floor(maxAgeMs / 1_000);
	return `${name}=${unit}; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
}

const UNIT_BYTES = 16;
/** Random bytes are fetched for this many units per system call, which is the largest cost. */
const UNITS_AT_ONCE = 256;
const pool = Buffer.alloc(UNIT_BYTES * UNITS_AT_ONCE);
let used = pool.length;

/** A new unit: 128 random bits as 22 characters of base64url. */
export function mintUnit(): string {
	if (used === pool.length) {
		randomFillSync(pool);
		used = 0;
	}
	const unit = pool.toString("base64url", used, used + UNIT_BYTES);
	// Do not keep a used unit in memory.
	pool.fill(0, used, used + UNIT_BYTES);
	used += UNIT_BYTES;
	return unit;
}
