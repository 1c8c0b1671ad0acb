/** Texts that a condition compares with the path, and how a path that is served spells them (isSpeltOtherwise). */
import type { ASTNode } from "@marcbachmann/cel-js";

/** A text as it is written, how a path has it, and where: characters from the condition's beginning. */
export interface Misspelling {
	readonly text: string;
	readonly instead: string;
	readonly offset: number;
}

const METHODS = new Set(["startsWith", "endsWith", "contains"]);
/** Methods that walk a list: of the element's name and what is asked of each. */
export const WALKS = new Set(["exists", "all", "exists_one"]);
const OPERATORS = new Set(["==", "!=", "in"]);

/** A walk over texts, and what it calls each. Walks do not nest. */
interface Walk {
	readonly element: unknown;
	readonly texts: readonly ASTNode[];
}

/** The first text that is compared with request.path itself and that no path holds so; null = there is none. */
export function misspelling(node: ASTNode, walk: Walk | null = null): Misspelling | null {
	for (const { args: text, start: offset } of comparedWith(node).flatMap((one) => textsOf(one, walk))) {
		if (typeof text !== "string") continue;
		const instead = asServed(text);
		if (instead !== text) return { text, instead, offset };
	}
	if (node.op === "value") return null;
	const within = walkOf(node) ?? walk;
	const inner: readonly unknown[] = [node.args].flat(2);
	for (const one of inner) {
		const found = typeof one === "object" ? misspelling(one as ASTNode, within) : null;
		if (found !== null) return found;
	}
	return null;
}

function walkOf({ op, args }: ASTNode): Walk | null {
	if (op !== "rcall" || !WALKS.has(args[0])) return null;
	const [, list, [element]] = args;
	return { element: element?.args, texts: textsOf(list, null) };
}

/** The literals that the value is made of: itself, of a list, of either choice, put together. */
function textsOf(node: ASTNode, walk: Walk | null): readonly ASTNode[] {
	switch (node.op) {
		case "value":
			return [node];
		case "id":
			return node.args === walk?.element ? walk.texts : [];
		case "list":
		case "+":
			return node.args.flatMap((one) => textsOf(one, walk));
		case "?:":
			return node.args.slice(1).flatMap((one) => textsOf(one, walk));
		default:
			return [];
	}
}

function comparedWith({ op, args }: ASTNode): readonly ASTNode[] {
	if (op === "rcall") {
		const [name, receiver, given] = args as [string, ASTNode, readonly ASTNode[]];
		return METHODS.has(name) && isPath(receiver) ? given : [];
	}
	if (!OPERATORS.has(op)) return [];
	const [left, right] = args as readonly [ASTNode, ASTNode];
	return isPath(left) ? [right] : isPath(right) ? [left] : [];
}

function isPath({ op, args }: ASTNode): boolean {
	if (op !== "." && op !== "[]") return false;
	const [of, field] = args;
	return of.op === "id" && of.args === "request" && (typeof field === "string" ? field : field.args) === "path";
}

/**
 * Printable ASCII within a segment that a path has as it is. Blanks, `"#%<>?^{|}` and the backtick it has as escapes; the
 * rest is never served.
 */
const PLAIN = /[!$&'()*+,.0-9:=@A-Z[\]_a-z~-]/;

/** Escapes, also one that the text ends in the middle of; what is to be escaped. */
const SPELLINGS = /%[0-9A-Fa-f]{2}|%[0-9A-Fa-f]?$|[%#? "<>^`{|}]|[^\p{ASCII}]+/gu;

/** The text as a path has it that is served where a condition reads it. */
function asServed(text: string): string {
	return text.replace(SPELLINGS, (found, offset: number) => {
		const ends = offset + found.length === text.length;
		if (!found.startsWith("%") || (found.length < 3 && !ends)) return escaped(found);
		const char = found.length < 3 ? "" : String.fromCharCode(Number.parseInt(found.slice(1), 16));
		return PLAIN.test(char) ? char : found.toUpperCase();
	});
}

const escaped = (text: string): string =>
	[...Buffer.from(text, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
