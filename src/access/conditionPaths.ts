/** Texts that a condition compares with the path, which it sees percent-decoded and without its query. */
import type { ASTNode } from "@marcbachmann/cel-js";

/** A text that is compared with request.path itself and that it never holds, as a ConditionFault tells it. */
interface PathFault {
	readonly what: string;
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

/** The first; null = none is found. Of what is computed nothing is known. */
export function pathFault(node: ASTNode, walk: Walk | null = null): PathFault | null {
	for (const { args: text, start: offset } of comparedWith(node).flatMap((one) => textsOf(one, walk))) {
		const never = typeof text === "string" ? neverHeld(text) : null;
		if (never === null) continue;
		const [why, instead] = never;
		return { what: `compares the path with ${JSON.stringify(text)}, but ${why}`, instead, offset };
	}
	if (node.op === "value") return null;
	const within = walkOf(node) ?? walk;
	const inner: readonly unknown[] = [node.args].flat(2);
	for (const one of inner) {
		const found = typeof one === "object" ? pathFault(one as ASTNode, within) : null;
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

const ESCAPE = /%[0-9A-Fa-f]{2}/;
/** Escapes whose paths are refused as not-canonical, or that decoded would be taken for the query's beginning. */
const UNTOLD_ESCAPE = /%(?:[01]|2[Ff]|25[0-9A-Fa-f]{2}|3[BbFf]|5[Cc]|7[Ff])/;
const VARIABLE = /(?:^|\/)\{[A-Za-z][A-Za-z0-9_]*\}(?:\/|$)/;

/** Why the path holds it never, and what to write. */
function neverHeld(text: string): readonly [why: string, instead: string] | null {
	const [path = "", query] = text.split("?", 2);
	if (query === undefined && !ESCAPE.test(path)) {
		const instead = "write pathTemplates, or startsWith() with what is before it";
		return VARIABLE.test(path) ? ["{name} stands for itself there", instead] : null;
	}
	const why = query === undefined ? "sees it percent-decoded" : "sees it without its query";
	if (path === "") return [why, "leave that out"];
	const decoded = UNTOLD_ESCAPE.test(path) ? null : decodedText(path);
	return [why, decoded === null ? "compare with what is before the escape" : `write ${JSON.stringify(decoded)}`];
}

/** All conditions about one request ask for the same path: it is decoded once. */
let last: { readonly sent: string; readonly decoded: string | null } = { sent: "", decoded: "" };

/**
 * The path as conditions see it: percent-decoded, so that all of its spellings are one text; null = it is no UTF-8.
 * Of what is canonical, no two paths that a server tells apart decode to one: escaped slashes, backslashes, semicolons,
 * controls, dots and percent signs before two digits are refused before any rule.
 */
export function decodedPath(sent: string): string | null {
	if (sent !== last.sent) last = { sent, decoded: sent.includes("%") ? decodedText(sent) : sent };
	return last.decoded;
}

function decodedText(text: string): string | null {
	try {
		return decodeURIComponent(text);
	} catch {
		return null;
	}
}
