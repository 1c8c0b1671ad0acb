/**
 * JSON as two readers would read it alike: no member twice (RFC 8259 leaves it open, and who takes the first claim and
 * who the last would see different users), no lone surrogates, no numbers beyond a double, bounded depth.
 */
import { TOKEN_DEPTH_MAX } from "../../limits/index.js";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The object that the bytes are; null where they are anything else. Never throws. */
export function strictObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
	let text: string;
	let value: unknown;
	try {
		text = utf8.decode(bytes);
		value = JSON.parse(text);
	} catch {
		return null;
	}
	if (typeof value !== "object" || value === null || Array.isArray(value) || !isUnambiguous(text)) return null;
	return value as Record<string, unknown>;
}

/** @param text well-formed JSON */
function isUnambiguous(text: string): boolean {
	/** Names of each open object; null for a list. */
	const open: (Set<string> | null)[] = [];
	let expectsName = false;
	for (let at = 0; at < text.length; at++) {
		const char = text[at];
		if (char === "{" || char === "[") {
			open.push(char === "{" ? new Set() : null);
			if (open.length > TOKEN_DEPTH_MAX) return false;
			expectsName = char === "{";
		} else if (char === "}" || char === "]") {
			open.pop();
			expectsName = false;
		} else if (char === ",") {
			expectsName = open.at(-1) !== null;
		} else if (char === '"') {
			const end = stringEnd(text, at);
			const raw = text.slice(at, end);
			const value = raw.includes("\\") ? (JSON.parse(raw) as string) : raw.slice(1, -1);
			if (!isWellFormed(value)) return false;
			if (expectsName) {
				const names = open.at(-1);
				if (names?.has(value)) return false;
				names?.add(value);
				expectsName = false;
			}
			at = end - 1;
		} else if (char === "-" || (char !== undefined && char >= "0" && char <= "9")) {
			const number = /[-+.0-9eE]+/y;
			number.lastIndex = at;
			const [digits = ""] = number.exec(text) ?? [];
			if (!Number.isFinite(Number(digits))) return false;
			at += Math.max(digits.length, 1) - 1;
		}
	}
	return true;
}

/** Index behind the closing quote. */
function stringEnd(text: string, start: number): number {
	for (let at = start + 1; at < text.length; at++) {
		if (text[at] === "\\") at++;
		else if (text[at] === '"') return at + 1;
	}
	return text.length;
}

/** No half of a surrogate pair alone. */
function isWellFormed(value: string): boolean {
	return (
		!/[\ud800-\udfff]/.test(value) ||
		!/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)
	);
}
