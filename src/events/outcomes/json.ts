/**
 * JSON.parse with a place instead of a quotation: V8's own message quotes the text around the error, which may be
 * a user id. The scanner below runs only on a text that JSON.parse has refused.
 */
export type JsonResult =
	| { readonly ok: true; readonly value: unknown }
	| { readonly ok: false; readonly message: string; readonly line: number; readonly column: number };

export function parseJson(text: string): JsonResult {
	try {
		return { ok: true, value: JSON.parse(text) as unknown };
	} catch {
		const at = errorOffset(text);
		const before = text.slice(0, at);
		const line = before.split("\n").length;
		const column = at - (before.lastIndexOf("\n") + 1) + 1;
		return { ok: false, message: at >= text.length ? "it ends early" : "an unexpected character", line, column };
	}
}

// RFC 8259: the tokens, each matched where the scanner stands.
const TOKEN =
	/[\t\n\r ]+|[[\]{}:,]|true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|"(?:[^"\\\p{Cc}]|\x7f|[\u0080-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;

/** What may come next: a value; a value or `]`; a key; a key or `}`; a colon; a comma or the end of the holder. */
type Expected = "value" | "value-or-end" | "key" | "key-or-end" | "colon" | "comma";

/** Offset of the first token that the grammar does not allow; the text's length where it ends early. */
function errorOffset(text: string): number {
	const holders: ("{" | "[")[] = [];
	let expected = "value" as Expected;
	let done = false;
	let at = 0;
	const afterValue = (): void => {
		done = holders.length === 0;
		expected = "comma";
	};
	while (at < text.length) {
		TOKEN.lastIndex = at;
		const token = TOKEN.exec(text)?.[0];
		if (token === undefined) return at;
		const first = token.charAt(0);
		if (!/[\t\n\r ]/.test(first)) {
			if (done) return at;
			const holder = holders.at(-1);
			if (first === "]" || first === "}") {
				const open = first === "]" ? "[" : "{";
				const mayEnd = expected === "comma" || expected === (first === "]" ? "value-or-end" : "key-or-end");
				if (holder !== open || !mayEnd) return at;
				holders.pop();
				afterValue();
			} else if (first === ",") {
				if (expected !== "comma" || holder === undefined) return at;
				expected = holder === "[" ? "value" : "key";
			} else if (first === ":") {
				if (expected !== "colon") return at;
				expected = "value";
			} else if (expected === "key" || expected === "key-or-end") {
				if (first !== '"') return at;
				expected = "colon";
			} else if (expected === "value" || expected === "value-or-end") {
				if (first === "[" || first === "{") {
					holders.push(first);
					expected = first === "[" ? "value-or-end" : "key-or-end";
				} else afterValue();
			} else return at;
		}
		at += token.length;
	}
	return text.length;
}
