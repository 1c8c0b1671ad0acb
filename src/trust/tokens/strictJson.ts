/**
 * Unambiguous JSON: no duplicate members (RFC 8259 allows them; parsers that use the first or the last claim would see
 * different users), no lone surrogates, no numbers beyond a double, limited depth.
 */

/** Nesting of a token's JSON, including the top object: same as Envoy's jwt_authn (measured on 1.40.0). */
const TOKEN_DEPTH_MAX = 100;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The parsed object; null if the bytes are anything else. Never throws. */
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

/** Whether there is no lone surrogate. */
function isWellFormed(value: string): boolean {
	return (
		!/[\ud800-\udfff]/.test(value) ||
		!/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)
	);
}
