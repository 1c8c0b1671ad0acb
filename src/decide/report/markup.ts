/**
 * HTML templates that escape every string; only the result of another template is inserted unchanged. Names, reasons and
 * values of request headers are untrusted input.
 *
 * The result is also well-formed XML where templates close their elements, so that a strict parser can check it.
 */

/** Text that is markup already. Made by `html` alone. */
export class Markup {
	/** @param text well-formed markup */
	constructor(readonly text: string) {}
}

export type Content = string | number | Markup | null | readonly Content[];

/** A template of markup. Attributes must stand in double quotes; null is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
	let text = strings[0] ?? "";
	for (const [index, value] of values.entries()) text += textOf(value) + (strings[index + 1] ?? "");
	return new Markup(text);
}

export const NOTHING = new Markup("");

function textOf(value: Content): string {
	if (value === null) return "";
	if (value instanceof Markup) return value.text;
	if (typeof value === "number") return String(value);
	return typeof value === "string" ? escaped(value) : value.map(textOf).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&#39;",
};

/**
 * Invisible characters are shown by their number: control characters, and format characters that turn the
 * direction of the text around them or hide in a name. The two joiners stay, which scripts and emoji need.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\uFFFE\uFFFF]/gu;
const JOINERS = ["\u200C", "\u200D"];

function escaped(text: string): string {
	return text
		.replace(/\p{Cs}/gu, "\uFFFD")
		.replace(/\s*\n\s*/g, " ")
		.replace(UNSEEN, (one) => (JOINERS.includes(one) ? one : `⟨U+${code(one)}⟩`))
		.replace(/[&<>"']/g, (one) => ENTITIES[one] ?? one);
}

function code(character: string): string {
	return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}
