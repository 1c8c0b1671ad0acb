/**
 * Splits a YAML text into tokens and limits them before parsing. A parser needs hundreds of bytes per token: 4 MiB of
 * brackets would take gigabytes and half a minute.
 */
import { Lexer } from "yaml";

/**
 * YAML tokens of all files of one request, by cost: a line end, a comment or a key's end counts 1, a comma 2, a text 3,
 * an item or an empty key 4, a bracket, alias, anchor or tag 5, spaces 0. Parsing blocks other requests: 2 s at this
 * limit, 4 s in the worst case. Declarations have one for every 1.5 bytes (3,000 Services of 22 lines with two Variants
 * of three endpoints, 570 each) to 6 bytes (75,000 SPIFFE ids).
 */
export const RESOURCE_TOKENS_MAX = 1_720_000;

/** Consecutive blank lines: templates leave hundreds of them. */
const RESOURCE_BLANK_LINES_MAX = 1_000;

/** Tokens that the files of one request may still use. */
export interface TokenBudget {
	left: number;
}

export function tokenBudget(): TokenBudget {
	return { left: RESOURCE_TOKENS_MAX };
}

/** Why a text is not parsed, and its position. */
export interface TooMuch {
	readonly offset: number;
	readonly message: string;
	readonly hint: string;
}

/** Markers of the package's lexer, which YAML forbids in text. After this one the next token is a text. */
const SCALAR = "\u001f";
/** DOCUMENT and FLOW_END. */
const SIGNS = new Set(["\u0002", "\u0018", SCALAR]);

/** All tokens of a text without forbidden characters, in order; subtracts their cost from the budget. */
export function tokensOf(text: string, budget: TokenBudget): readonly string[] | TooMuch {
	const tokens: string[] = [];
	let offset = 0;
	let newlines = 0;
	let before = "";
	/** A text or its spaces are what came last. */
	let hasKey = false;
	for (const token of new Lexer().lex(text)) {
		tokens.push(token);
		const isText = before === SCALAR || token[0] === "'" || token[0] === '"';
		before = token;
		budget.left -= isText ? TEXT_COST + linesWithin(token) : costOf(token, hasKey);
		hasKey = isText || (hasKey && token[0] === " ");
		if (budget.left < 0) {
			const message = `more than ${RESOURCE_TOKENS_MAX} YAML tokens at once`;
			return { offset, message, hint: "write fewer items, or split the file and apply its parts one after the other" };
		}
		if (SIGNS.has(token)) continue;
		if (isText || !BLANK.has(token[0] ?? "")) newlines = 0;
		else if (token.endsWith("\n")) newlines++;
		// The package reads all of them again for each comment that follows.
		if (newlines > RESOURCE_BLANK_LINES_MAX + 1) {
			return { offset, message: `more than ${RESOURCE_BLANK_LINES_MAX} blank lines in a row`, hint: "remove them" };
		}
		offset += token.length;
	}
	return tokens;
}

/**
 * Cost by first character. A token that makes a node costs more; an item, a key or a value may be an empty one. Spaces
 * and lexer markers are free.
 */
const COSTS: ReadonlyMap<string, number> = new Map([
	...["{", "[", "*", "&", "!"].map((token) => [token, 5] as const),
	...["-", "?", ":"].map((token) => [token, 4] as const),
	[",", 2],
	...[" ", SCALAR].map((token) => [token, 0] as const),
]);
const TEXT_COST = 3;

/**
 * @param hasKey a text precedes it: then `:` only ends the key, and its value has its own cost
 */
const costOf = (token: string, hasKey: boolean): number =>
	hasKey && token[0] === ":" ? 1 : (COSTS.get(token[0] ?? "") ?? 1);
const BLANK = new Set([" ", "\t", "\n", "\r"]);

/** Lines within a text: each is processed like a token. */
function linesWithin(token: string): number {
	let lines = 0;
	for (let at = token.indexOf("\n"); at !== -1; at = token.indexOf("\n", at + 1)) lines++;
	return lines;
}
