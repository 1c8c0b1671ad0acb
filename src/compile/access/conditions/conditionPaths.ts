/** Texts that a condition compares with the path, which is percent-decoded and without its query. */
import type { ASTNode } from "@marcbachmann/cel-js";

/** A text that request.path can hardly equal, as a ConditionFault. */
interface PathFault {
	readonly what: string;
	readonly hint: string;
	readonly offset: number;
}

const METHODS = new Set(["startsWith", "endsWith", "contains"]);
/** Macros over a list: arguments are the element's name and the predicate. */
export const WALKS = new Set(["exists", "all", "exists_one"]);
const OPERATORS = new Set(["==", "!=", "in"]);

/** A macro over texts, and its element's name. They do not nest. */
interface Walk {
	readonly element: unknown;
	readonly texts: readonly ASTNode[];
}

/** The first fault; null = none. Computed texts are not checked. */
export function pathFault(node: ASTNode, walk: Walk | null = null): PathFault | null {
	for (const { args: text, start: offset } of comparedWith(node).flatMap((one) => textsOf(one, walk))) {
		const slip = typeof text === "string" ? slipOf(text) : null;
		if (slip === null) continue;
		const { why, ...rest } = slip;
		return { what: `compares the path with ${JSON.stringify(text)}, but ${why}`, ...rest, offset };
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

/** The literals that a value may consist of: itself, a list's items, both branches, both operands. */
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
/** Escapes whose paths are refused as not-canonical, or that would decode to the start of a query. */
const REFUSED_ESCAPE = /%(?:[01]|2[Ff]|25[0-9A-Fa-f]{2}|3[BbFf]|5[Cc]|7[Ff])/;
const VARIABLE = /(?:^|\/)\{[A-Za-z][A-Za-z0-9_]*\}(?:\/|$)/;

/** Forms of a path that are valid elsewhere: as sent, in a URL, in pathTemplates. */
function slipOf(text: string): (Omit<PathFault, "what" | "offset"> & { readonly why: string }) | null {
	if (ESCAPE.test(text)) {
		const decoded = REFUSED_ESCAPE.test(text) ? null : decodedText(text);
		const hint = decoded === null ? "compare with what is before the escape" : `write ${JSON.stringify(decoded)}`;
		return { why: "sees it percent-decoded", hint };
	}
	const [path = "", query] = text.split("?", 2);
	if (query !== undefined) {
		const why = "sees it without its query: a ? there is a path's own, sent as %3F";
		const hint =
			path === "" ? "leave that out" : `write ${JSON.stringify(path)}, with startsWith() where a path's own is meant`;
		return { why, hint };
	}
	if (!VARIABLE.test(text)) return null;
	const hint = "write pathTemplates, or startsWith() with what is before it";
	return { why: "{name} stands for itself there", hint };
}

/** All conditions of one request read the same path: it is decoded once. */
let last: { readonly sent: string; readonly decoded: string | null } = { sent: "", decoded: "" };

/**
 * The percent-decoded path, so that all spellings are one text; null = not UTF-8. Different canonical paths decode
 * differently: escaped slashes, backslashes, semicolons, controls, dots and percent signs before two digits are refused
 * earlier.
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
