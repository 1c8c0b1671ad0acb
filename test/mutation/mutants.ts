/**
 * Mutants of one compiled file: each is one small change of the emitted JavaScript, found with the TypeScript parser.
 * Texts for people and type URLs are left alone: the first change nothing that a request can see, the second Envoy
 * refuses always, and both would only make the figures look better or worse than they are.
 */
import ts from "typescript";

export interface Mutant {
	/** Relative to dist/src, e.g. `compiler/route.js`. */
	readonly file: string;
	/** 1-based, of the emitted JavaScript. */
	readonly line: number;
	/** Kind of change, e.g. `comparison`. */
	readonly operator: string;
	readonly start: number;
	readonly end: number;
	readonly replacement: string;
	/** What is replaced, and by what, on one line. */
	readonly change: string;
}

/** The source with the one change. */
export function mutate(source: string, { start, end, replacement }: Mutant): string {
	return source.slice(0, start) + replacement + source.slice(end);
}

/** All mutants of a file, in the order of the text. */
export function mutantsOf(file: string, source: string): readonly Mutant[] {
	const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
	const found = new Map<string, Mutant>();
	const add: Add = (node, operator, replacement) => {
		const [start, end] = Array.isArray(node) ? node : [node.getStart(tree), node.getEnd()];
		const original = source.slice(start, end);
		const key = `${start} ${end} ${replacement}`;
		if (original === replacement || found.has(key)) return;
		const line = tree.getLineAndCharacterOfPosition(start).line + 1;
		const change = `${oneLine(original)} → ${replacement === "" ? "(removed)" : oneLine(replacement)}`;
		found.set(key, { file, line, operator, start, end, replacement, change });
	};
	const visit = (node: ts.Node): void => {
		if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isThrowStatement(node)) return;
		for (const operator of OPERATORS) operator(node, tree, add);
		ts.forEachChild(node, visit);
	};
	visit(tree);
	return [...found.values()].sort((a, b) => a.start - b.start);
}

const oneLine = (text: string): string => {
	const flat = text.replace(/\s+/g, " ");
	return flat.length > 90 ? `${flat.slice(0, 60)} … ${flat.slice(-25)}` : flat;
};

type Add = (node: ts.Node | [number, number], operator: string, replacement: string) => void;
type Operator = (node: ts.Node, tree: ts.SourceFile, add: Add) => void;

/** By the operator's own token: what may stand in its place. */
const SWAPS: Readonly<Record<string, readonly [kind: string, ...others: string[]]>> = {
	"===": ["comparison", "!=="],
	"!==": ["comparison", "==="],
	"<": ["comparison", "<=", ">="],
	"<=": ["comparison", "<", ">"],
	">": ["comparison", ">=", "<="],
	">=": ["comparison", ">", "<"],
	"+": ["arithmetic", "-"],
	"-": ["arithmetic", "+"],
	"*": ["arithmetic", "/"],
	"/": ["arithmetic", "*"],
	"%": ["arithmetic", "*"],
	"+=": ["arithmetic", "-="],
	"-=": ["arithmetic", "+="],
	"&&": ["logic", "||"],
	"||": ["logic", "&&"],
	"|": ["arithmetic", "&"],
};

const binary: Operator = (node, tree, add) => {
	if (!ts.isBinaryExpression(node)) return;
	const [kind, ...others] = SWAPS[node.operatorToken.getText(tree)] ?? [""];
	// A sum of texts is no arithmetic: the other operator makes NaN of it, which is seen all the same.
	for (const other of others) add(node.operatorToken, kind, other);
	if (node.operatorToken.kind !== ts.SyntaxKind.QuestionQuestionToken) return;
	add(node, "default value", `(${node.left.getText(tree)})`);
	add(node, "default value", `(${node.right.getText(tree)})`);
};

const unary: Operator = (node, tree, add) => {
	if (ts.isPrefixUnaryExpression(node)) {
		const operand = node.operand.getText(tree);
		if (node.operator === ts.SyntaxKind.ExclamationToken) add(node, "logic", `(${operand})`);
		if (node.operator === ts.SyntaxKind.MinusToken) add(node, "arithmetic", `(${operand})`);
	}
	if (ts.isPostfixUnaryExpression(node) && !ts.isForStatement(node.parent)) {
		add(
			node,
			"arithmetic",
			`${node.operand.getText(tree)}${node.operator === ts.SyntaxKind.PlusPlusToken ? "--" : "++"}`,
		);
	}
};

const condition: Operator = (node, tree, add) => {
	if (ts.isIfStatement(node)) add(node.expression, "condition", `!(${node.expression.getText(tree)})`);
	if (ts.isConditionalExpression(node)) add(node.condition, "condition", `!(${node.condition.getText(tree)})`);
	if (ts.isWhileStatement(node)) add(node.expression, "condition", "false");
	if (ts.isForStatement(node) && node.condition !== undefined) add(node.condition, "condition", "false");
};

const literal: Operator = (node, tree, add) => {
	if (node.kind === ts.SyntaxKind.TrueKeyword) add(node, "boolean", "false");
	if (node.kind === ts.SyntaxKind.FalseKeyword) add(node, "boolean", "true");
	if (ts.isNumericLiteral(node) || ts.isBigIntLiteral(node)) {
		const big = ts.isBigIntLiteral(node);
		const value = Number(node.text.replace(/n$/, ""));
		add(node, "number", big ? `${value + 1}n` : String(value + 1));
		// No negative indexes and sizes: they are refused or absurd.
		if (value > 0) add(node, "number", big ? `${value - 1}n` : String(value - 1));
	}
	if (ts.isRegularExpressionLiteral(node)) {
		for (const other of otherRegexes(node.text)) add(node, "regular expression", other);
	}
	if (ts.isStringLiteral(node) && isData(node, tree)) {
		const raw = node.getText(tree);
		add(node, "string", `${raw.slice(0, -1)}~${raw.slice(-1)}`);
		// A regular expression within a string, as Envoy gets it.
		if (/^\^.*\$$/.test(node.text)) {
			for (const other of otherRegexes(node.text)) add(node, "regular expression", JSON.stringify(other));
		}
	}
	if (ts.isNoSubstitutionTemplateLiteral(node) && isData(node, tree)) {
		add(node, "string", `${node.getText(tree).slice(0, -1)}~\``);
	}
	// The first piece's text ends before `${`, the last one's before the closing quote.
	if ((ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) && node.text !== "") {
		const whole = ts.isTemplateHead(node) ? node.parent : node.parent.parent;
		if (!isData(whole, tree)) return;
		const tail = ts.isTemplateTail(node) ? 1 : 2;
		const end = node.getEnd() - tail;
		add([end, end], "string", "~");
	}
};

/** Each anchor away, and each range of a character class one character shorter. */
function otherRegexes(text: string): readonly string[] {
	const others: string[] = [];
	for (const match of text.matchAll(/(?<!\[|\\)\^|\$(?=$|[/)|])/g)) {
		others.push(text.slice(0, match.index) + text.slice(match.index + 1));
	}
	for (const match of text.matchAll(/([!-~])-([!-~])(?=[^[]*\])/g)) {
		const [whole, low = "", high = ""] = match;
		if (low === "\\" || high === "\\") continue;
		const shorter = String.fromCharCode(high.charCodeAt(0) - 1);
		if (shorter < low || /[\]\\^]/.test(shorter)) continue;
		others.push(`${text.slice(0, match.index)}${low}-${shorter}${text.slice(match.index + whole.length)}`);
	}
	return others;
}

/** Whether a text is data for machines. */
function isData(node: ts.Node, tree: ts.SourceFile): boolean {
	const text = node.getText(tree);
	if (text.includes("type.googleapis.com") || /^["'`]@type["'`]$/.test(text)) return false;
	const { parent } = node;
	if (ts.isPropertyAssignment(parent)) {
		if (parent.name === node) return false;
		if (["message", "hint", "because", "rule"].includes(parent.name.getText(tree))) return false;
	}
	return !/\/(explain|problems)\.js$/.test(tree.fileName) && !/ .* .* /.test(text);
}

const member: Operator = (node, tree, add) => {
	if (ts.isObjectLiteralExpression(node)) {
		for (const [index, property] of node.properties.entries()) {
			if (property.name?.getText(tree) === '"@type"') continue;
			add(rangeInList(node.properties, index, tree), "member removed", "");
		}
	}
	if (ts.isArrayLiteralExpression(node)) {
		for (const [index] of node.elements.entries()) add(rangeInList(node.elements, index, tree), "element removed", "");
		const [first, second] = node.elements;
		if (first !== undefined && second !== undefined) {
			const between = tree.text.slice(first.getEnd(), second.getStart(tree));
			add([first.getStart(tree), second.getEnd()], "order", `${second.getText(tree)}${between}${first.getText(tree)}`);
		}
	}
};

/** The item with the comma after it. */
function rangeInList(list: ts.NodeArray<ts.Node>, index: number, tree: ts.SourceFile): [number, number] {
	const item = list[index] as ts.Node;
	const next = list[index + 1];
	return [item.getStart(tree), next === undefined ? list.end : next.getStart(tree)];
}

const statement: Operator = (node, tree, add) => {
	if (!ts.isBlock(node.parent ?? node) && !ts.isIfStatement(node.parent ?? node)) return;
	if (ts.isIfStatement(node)) add(node, "statement removed", node.elseStatement?.getText(tree) ?? ";");
	if (ts.isExpressionStatement(node) || ts.isForOfStatement(node)) add(node, "statement removed", ";");
	if (ts.isReturnStatement(node) && ts.isIfStatement(node.parent)) add(node, "statement removed", ";");
};

/** By method: another one, or (empty) the receiver alone. */
const METHODS: Readonly<Record<string, string>> = {
	every: "some",
	some: "every",
	startsWith: "endsWith",
	endsWith: "startsWith",
	indexOf: "lastIndexOf",
	lastIndexOf: "indexOf",
	floor: "ceil",
	max: "min",
	filter: "",
	toLowerCase: "",
	reverse: "",
	replaceAll: "",
	replace: "",
	padStart: "",
	slice: "",
};

const call: Operator = (node, tree, add) => {
	if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
	const { name, expression } = node.expression;
	const other = Object.hasOwn(METHODS, name.text) ? METHODS[name.text] : undefined;
	if (other === undefined) return;
	if (other === "") add(node, "call removed", expression.getText(tree));
	else add(name, "method", other);
};

const OPERATORS: readonly Operator[] = [binary, unary, condition, literal, member, statement, call];
