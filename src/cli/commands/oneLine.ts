/** Others' text on a terminal: control characters could move the cursor, or let one line pose as two. */
export function oneLine(text: string): string {
	return text.replace(
		/[\p{Cc}\p{Cf}\u2028\u2029]/gu,
		(char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
	);
}
