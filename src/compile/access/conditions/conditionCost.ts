/**
 * Upper bound of a CEL condition's run time for the largest allowed inputs, in steps of about 20 ns of cel-js (measured). Sizes
 * count characters, and VALUE for each value of a list.
 * Inside a macro (all, exists, …) each cost is `fixed + per × the element's size`. Over the list this adds up to
 * `items × fixed + per × the list's size`: only the total size of a list is bounded, not that of an element.
 */
import type { ASTNode } from "@marcbachmann/cel-js";
import {
	CONDITION_LIST_MAX,
	CONDITION_METHOD_CHARS_MAX,
	CONDITION_NAME_CHARS_MAX,
	CONDITION_PATH_CHARS_MAX,
	CONDITION_USER_CHARS_MAX,
	SPIFFE_ID_BYTES_MAX,
} from "../../../limits/index.js";
import { epochMs } from "../requests/rfc3339.js";

/** Argument of contains(): within V8's limit for linear search (250). */
const CONDITION_NEEDLE_CHARS_MAX = 250;

interface Line {
	readonly fixed: number;
	readonly per: number;
}

/** text, or a list of texts; other: any type, such as a claim. */
type Kind = "text" | "texts" | "other";

interface Cost {
	readonly steps: Line;
	readonly size: Line;
	readonly kind: Kind;
	/** Number of values, if it is a list. */
	readonly items: number;
	/** Evaluating it may end in an error. */
	readonly fails: boolean;
}

interface Scope {
	/** Steps of one error: created, thrown and caught. Its message quotes the expression, so a long one costs more. */
	readonly error: number;
	/** The element's name and cost, inside a macro. */
	readonly element: { readonly name: string; readonly cost: Cost } | null;
	readonly refuse: (what: string, instead: string, node: ASTNode) => never;
}

/** Creating the context and calling the library. */
const BASE = 60;
const ERROR = 200;
const VALUE = 16;
/** Characters that are compared, copied or hashed in a step; fewer for values of any type. */
const TEXT_PER_STEP = 16;
const OTHER_PER_STEP = 4;

const line = (fixed: number, per = 0): Line => ({ fixed, per });
const plus = (...lines: readonly Line[]): Line =>
	line(
		lines.reduce((sum, { fixed }) => sum + fixed, 0),
		lines.reduce((sum, { per }) => sum + per, 0),
	);
const times = ({ fixed, per }: Line, factor: number): Line => line(fixed * factor, per * factor);

const plain = (steps: Line, fails: boolean): Cost => ({ steps, size: line(VALUE), kind: "other", items: 0, fails });
const text = (size: number, fails: boolean): Cost => ({
	steps: line(2),
	size: line(size),
	kind: "text",
	items: 0,
	fails,
});
const USER_LIST = line(CONDITION_USER_CHARS_MAX + VALUE * CONDITION_LIST_MAX);
const userList = (kind: Kind): Cost => ({
	steps: line(2),
	size: USER_LIST,
	kind,
	items: CONDITION_LIST_MAX,
	fails: true,
});
const ALL: Cost = { ...userList("other"), size: times(USER_LIST, 5) };

/** A Map, because a name such as constructor is a property of every object. */
const IDS: ReadonlyMap<string, Cost> = new Map([
	["principal", text(SPIFFE_ID_BYTES_MAX, false)],
	["service", text(CONDITION_NAME_CHARS_MAX, false)],
	["variant", text(CONDITION_NAME_CHARS_MAX, true)],
]);
const REQUEST: ReadonlyMap<string, Cost> = new Map([
	["method", text(CONDITION_METHOD_CHARS_MAX, false)],
	["path", text(CONDITION_PATH_CHARS_MAX, false)],
	["region", text(CONDITION_NAME_CHARS_MAX, true)],
	["time", plain(line(2), false)],
]);
const USER: ReadonlyMap<string, Cost> = new Map([
	["issuer", text(CONDITION_USER_CHARS_MAX, true)],
	["subject", text(CONDITION_USER_CHARS_MAX, true)],
	["groups", userList("texts")],
	["tenants", userList("texts")],
	["purposes", userList("texts")],
	["claims", userList("other")],
]);
const FIELDS: ReadonlyMap<string, ReadonlyMap<string, Cost>> = new Map([
	["request", REQUEST],
	["user", USER],
]);

/** The smallest int is written as this, negated. */
const LEAST_NEGATED = 2n ** 63n;

/** The library's pattern takes cubic time for digits without a unit. */
const DURATION = /^[-+]?(?:\d{1,18}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h)){1,6}$/;

/**
 * @param node a tree that read() of condition.ts has accepted: known functions, no nested macros
 * @param chars length of the whole expression
 * @param refuse for an unlimited cost; must throw
 * @returns steps, rounded up
 */
export function conditionSteps(node: ASTNode, chars: number, refuse: Scope["refuse"]): number {
	const error = ERROR + chars / 5;
	const { steps, fails } = costOf(node, { error, element: null, refuse });
	return Math.ceil(BASE + steps.fixed + (fails ? error : 0));
}

function costOf(node: ASTNode, scope: Scope): Cost {
	switch (node.op) {
		case "value":
			if (isTooLong(node))
				scope.refuse(
					"has a whole number that is no int, which has 64 bits",
					"write one up to 9223372036854775807, or a double such as 1e19",
					node,
				);
			return typeof node.args === "string" ? text(node.args.length, false) : plain(line(1), false);
		case "id":
			return (scope.element?.name === node.args ? scope.element.cost : IDS.get(node.args)) ?? ALL;
		case ".": {
			const [of, field] = node.args;
			const known = of.op === "id" && of.args !== scope.element?.name ? FIELDS.get(of.args)?.get(field) : undefined;
			return known ?? part(costOf(of, scope), line(0));
		}
		case "[]": {
			const [of, index] = node.args.map((one) => costOf(one, scope)) as [Cost, Cost];
			return part(of, plus(index.steps, times(index.size, 1 / TEXT_PER_STEP)));
		}
		case "list":
			return listCost(node.args.map((one) => costOf(one, scope)));
		case "?:": {
			const [condition, ...branches] = node.args.map((one) => costOf(one, scope)) as [Cost, Cost, Cost];
			return { ...either(branches), steps: plus(line(1), ...[condition, ...branches].map(({ steps }) => steps)) };
		}
		case "&&":
		case "||":
			return logical(node.args.map((one) => costOf(one, scope)) as unknown as readonly Cost[], scope);
		case "call":
			return callCost(node, scope);
		case "rcall":
			return methodCost(node, scope);
		case "!_":
		case "-_": {
			const least = node.op === "-_" && node.args.op === "value" && node.args.args === LEAST_NEGATED;
			const of = least ? plain(line(1), false) : costOf(node.args, scope);
			return plain(plus(of.steps, line(1)), of.fails || node.op === "-_");
		}
		case "+":
		case "-":
		case "*":
		case "/":
		case "%":
		case "in":
		case "==":
		case "!=":
		case "<":
		case "<=":
		case ">":
		case ">=": {
			const known = literalCost(node.op, node.args, scope);
			if (known !== null) return known;
			const [left, right] = node.args.map((one) => costOf(one, scope)) as [Cost, Cost];
			return binaryCost(node.op, left, right);
		}
		default:
			return scope.refuse(`uses ${node.op}, which is not offered`, "use another operator", node);
	}
}

const part = (of: Cost, more: Line): Cost => ({
	steps: plus(of.steps, more, line(2)),
	size: of.size,
	kind: "other",
	items: CONDITION_LIST_MAX,
	fails: true,
});

const listCost = (items: readonly Cost[]): Cost => ({
	steps: plus(line(1 + items.length), ...items.map(({ steps }) => steps)),
	size: plus(line(VALUE * items.length), ...items.map(({ size }) => size)),
	kind: items.every(({ kind }) => kind === "text") ? "texts" : "other",
	items: items.length,
	fails: items.some(({ fails }) => fails),
});

const either = (branches: readonly Cost[]): Cost => ({
	steps: line(0),
	size: plus(...branches.map(({ size }) => size)),
	kind: new Set(branches.map(({ kind }) => kind)).size === 1 ? (branches[0]?.kind ?? "other") : "other",
	items: Math.max(...branches.map(({ items }) => items)),
	// The condition may not be a bool, which is an error.
	fails: true,
});

/** CEL evaluates the other side after an error of one side. If that does not decide, the error is thrown again. */
const logical = (sides: readonly Cost[], { error }: Scope): Cost =>
	plain(
		plus(line(1), ...sides.flatMap(({ steps, fails }) => [steps, line(fails ? error : 0)])),
		sides.some(({ fails }) => fails),
	);

/**
 * `==` with a literal, or `in` a list of literals; null = neither. A text costs the literal's length. For any other
 * value the type is checked, value by value; comparing an element never fails, because userOf() leaves out values without a CEL type.
 */
function literalCost(op: string, [left, right]: readonly [ASTNode, ASTNode], scope: Scope): Cost | null {
	const literals = op === "in" ? literalsOf(right) : op === "==" || op === "!=" ? [left, right].filter(isLiteral) : [];
	const [first] = literals;
	if (first === undefined) return null;
	const other = op === "in" || first === right ? left : right;
	const of = costOf(other, scope);
	const isElement = other.op === "id" && other.args === scope.element?.name;
	// In a list each literal is created and compared.
	const texts = literals.map((one) => line(4 + (typeof one.args === "string" ? one.args.length : 1) / TEXT_PER_STEP));
	const type = of.kind === "text" ? line(0) : times(of.size, 1 / VALUE);
	return plain(plus(of.steps, type, ...texts), !isElement && (of.fails || of.kind !== "text"));
}

const isLiteral = (node: ASTNode): boolean =>
	node.op === "value" && ["string", "number", "bigint", "boolean"].includes(typeof node.args) && !isTooLong(node);

/** The library accepts a literal of any length and computes with all of it. */
const isTooLong = ({ op, args }: ASTNode): boolean =>
	op === "value" && typeof args === "bigint" && args >= LEAST_NEGATED;

const literalsOf = (node: ASTNode): readonly ASTNode[] =>
	node.op === "list" && node.args.every(isLiteral) ? node.args : [];

function binaryCost(op: string, left: Cost, right: Cost): Cost {
	const texts = left.kind !== "other" && right.kind !== "other";
	const sides = plus(left.steps, right.steps);
	const both = plus(left.size, right.size);
	const fails = left.fails || right.fails;
	const compared = times(both, 1 / (texts ? TEXT_PER_STEP : OTHER_PER_STEP));
	if (op === "+") {
		const kind = left.kind === right.kind ? left.kind : "other";
		const steps = plus(sides, compared, line(2));
		return { steps, size: both, kind, items: left.items + right.items, fails: fails || !texts };
	}
	if (op === "in") {
		// The value may be a list or a map, which is compared with each item.
		const deep = left.kind === "text" ? line(0) : times(left.size, Math.max(right.items, 1) / (4 * VALUE));
		return plain(plus(sides, compared, deep, line(2)), fails);
	}
	const numbers = ["-", "*", "/", "%"].includes(op);
	return plain(plus(sides, compared, line(2)), fails || numbers || !texts);
}

function callCost(node: ASTNode & { readonly op: "call" }, scope: Scope): Cost {
	const [name, [argument]] = node.args;
	if (argument === undefined) return plain(line(1), true);
	const of = costOf(argument, scope);
	switch (name) {
		case "size":
			return sizeCost(of);
		case "duration":
			if (argument.op !== "value" || !DURATION.test(String(argument.args)))
				scope.refuse(
					"calls duration() with what is no literal duration",
					'write one such as duration("1h30m")',
					argument,
				);
			return plain(line(60), false);
		case "timestamp":
			if (argument.op === "value" && typeof argument.args === "string" && epochMs(argument.args) === null)
				scope.refuse(
					"calls timestamp() with what is no RFC 3339 time",
					'write one such as timestamp("2026-06-01T00:00:00Z")',
					argument,
				);
			return plain(plus(of.steps, times(of.size, 1 / 8), line(30)), true);
		case "int":
			if (!detectsOverflow(argument))
				scope.refuse(
					"calls int() with a calculation, whose overflow would not be detected",
					"calculate with its result",
					argument,
				);
			return plain(plus(of.steps, times(of.size, 1 / TEXT_PER_STEP), line(20)), true);
		case "string":
			return {
				...text(0, of.fails || of.kind !== "text"),
				steps: plus(of.steps, times(of.size, 1 / TEXT_PER_STEP), line(20)),
				size: plus(of.size, line(2 * VALUE)),
			};
		default:
			// has, double
			return plain(plus(of.steps, times(of.size, 1 / 8), line(30)), true);
	}
}

/**
 * Whether int() detects the overflow of this: a text, a literal, a claim (its number is limited when the token is read),
 * an int.
 */
const detectsOverflow = (node: ASTNode): boolean =>
	node.op === "value"
		? typeof node.args !== "number" || Math.abs(node.args) < 2 ** 63
		: node.op === "id" ||
			node.op === "." ||
			node.op === "[]" ||
			node.op === "rcall" ||
			(node.op === "call" && ["size", "string", "int"].includes(node.args[0]));

/** Characters of a text are counted one by one. */
const sizeCost = ({ steps, size, kind, fails }: Cost): Cost =>
	plain(plus(steps, kind === "texts" ? line(2) : plus(size, line(2))), fails);

function methodCost(node: ASTNode & { readonly op: "rcall" }, scope: Scope): Cost {
	const [name, receiver, [argument, body]] = node.args;
	const of = costOf(receiver, scope);
	if (argument === undefined) return name === "size" ? sizeCost(of) : plain(plus(of.steps, line(5)), of.fails);
	if (body !== undefined) return walkCost(of, argument, body, scope);
	const needle = costOf(argument, scope);
	const both = plus(of.steps, needle.steps);
	const fails = of.fails || needle.fails || of.kind !== "text" || needle.kind !== "text";
	if (name !== "contains") {
		return plain(plus(both, times(plus(of.size, needle.size), 1 / TEXT_PER_STEP), line(2)), fails);
	}
	const literal = argument.op === "value" && typeof argument.args === "string" ? argument.args : null;
	if (literal === null || literal.length > CONDITION_NEEDLE_CHARS_MAX) {
		const what = `calls contains() with what is no literal text of at most ${CONDITION_NEEDLE_CHARS_MAX} characters`;
		scope.refuse(what, "write startsWith(), endsWith(), == or in, or one contains() for each text", argument);
	}
	return plain(plus(both, of.size, line(literal?.length ?? 0), line(20)), fails);
}

/** CEL evaluates the other elements after an error of one. */
function walkCost(of: Cost, name: ASTNode, body: ASTNode, scope: Scope): Cost {
	const kind = of.kind === "texts" ? "text" : "other";
	const element: Cost = {
		steps: line(2),
		size: line(0, 1),
		kind,
		items: CONDITION_LIST_MAX,
		fails: kind === "other",
	};
	const inner = { ...scope, element: { name: String(name.args), cost: element } };
	const each = costOf(body, inner);
	const error = each.fails ? scope.error : 0;
	const walked = of.items * (each.steps.fixed + 3 + error) + each.steps.per * of.size.fixed;
	return plain(plus(of.steps, line(walked + 5)), of.fails || each.fails);
}
