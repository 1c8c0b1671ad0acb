/** Parses YAML tokens to documents, and reports syntax errors. */
import { Composer, type Document, type LineCounter, Parser } from "yaml";
import { WeirError } from "../../../error.js";
import { PROBLEMS_MAX, RESOURCE_DEPTH_MAX } from "../../../limits/index.js";
import { shortened } from "../position.js";
import type { Position, Problem } from "../resource.js";
import type { TooMuch } from "./tokens.js";

/** The end of the token stream. */
export interface Ended {
	/** Syntax errors outside all documents. */
	readonly faults: readonly SyntaxFault[];
	/** Why parsing stopped early; enough = more errors than are reported. */
	readonly why: TooMuch | "enough" | null;
}

/**
 * Collections that the parser may hold open, plus the document and a scalar. The reader reports less deep ones with
 * their path.
 */
const OPEN_MAX = 2 * RESOURCE_DEPTH_MAX + 2;

/** The reader checks unique keys: the package compares each pair, also for its tag !!omap. */
const OPTIONS = { prettyErrors: false, uniqueKeys: false, resolveKnownTags: false } as const;

/** Thrown through the package, whose own errors are values. */
const ENOUGH = new WeirError("internal", "more syntax errors than are reported");

/** Yields each complete document, so that memory holds the nodes of one. */
export function* documentsOf(
	tokens: readonly string[],
	lines: LineCounter,
): Generator<Document.Parsed, Ended, undefined> {
	const parser = new Parser(lines.addNewLine);
	const composer = new Composer(OPTIONS);
	const count = boundFaults(composer);
	lines.addNewLine(0);
	let why: Ended["why"] = null;
	try {
		for (const token of tokens) {
			for (const node of parser.next(token)) {
				if (node.type === "error") count();
				// Before it is applied: its tags compare each pair of keys.
				if (node.type === "directive" && isOlder(node.source)) return { faults: [], why: olderAt(node.offset) };
				yield* composer.next(node);
			}
			if (parser.stack.length > OPEN_MAX) return { faults: [], why: deepAt(parser.offset) };
		}
		for (const node of parser.end()) yield* composer.next(node);
	} catch (thrown) {
		if (thrown !== ENOUGH) throw thrown;
		why = "enough";
	}
	yield* composer.end();
	const { errors, warnings } = composer.streamInfo();
	return { faults: [...errors, ...warnings], why };
}

/**
 * Stops a composer at the first error beyond the reported ones. Its handler is private to the package; a test fails if
 * it disappears.
 */
function boundFaults(composer: Composer): () => void {
	let faults = 0;
	const count = (): void => {
		faults++;
		if (faults > PROBLEMS_MAX) throw ENOUGH;
	};
	const report: (...fault: readonly unknown[]) => void = Reflect.get(composer, "onError");
	const onError = (...fault: readonly unknown[]): void => {
		count();
		report(...fault);
	};
	Object.assign(composer, { onError });
	return count;
}

function isOlder(directive: string): boolean {
	return /^%YAML[ \t]+1\.1$/.test(directive.trim());
}

function olderAt(offset: number): TooMuch {
	const hint = "remove the %YAML line: Weir reads YAML 1.2, where yes and no are text";
	return { offset, message: "YAML version 1.1", hint };
}

function deepAt(offset: number): TooMuch {
	return { offset, message: "the document is nested too deeply", hint: `nest at most ${RESOURCE_DEPTH_MAX} levels` };
}

export interface SyntaxFault {
	readonly code: string;
	readonly message: string;
	readonly pos: readonly [number, number];
}

const SYNTAX_HINTS: Readonly<Record<string, string>> = {
	TAB_AS_INDENT: "indent with spaces",
	TAG_RESOLVE_FAILED: "remove the tag",
	BAD_INDENT: "align the fields of one mapping in one column, and close what is open",
	MULTILINE_IMPLICIT_KEY: "put a colon and a space after the field name, and quotes around text that holds one",
	BLOCK_AS_IMPLICIT_KEY: "begin a nested mapping on a new line, or put quotes around text that holds a colon",
};

/** Unique by position and text: the package repeats itself for each open bracket. */
export function syntaxProblems(faults: readonly SyntaxFault[], at: (offset: number) => Position): Iterable<Problem> {
	const problems = new Map<string, Problem>();
	for (const fault of faults) {
		const position = at(fault.pos[0]);
		// The package reports a stack overflow as a syntax error, and then each open bracket.
		if (fault.message.startsWith("Maximum call stack")) {
			const hint = `nest at most ${RESOURCE_DEPTH_MAX} levels`;
			return [{ position: at(0), message: "the document is nested too deeply", hint }];
		}
		const message = `YAML: ${shortened(fault.message, 200).replace(/\s+/g, " ").trim()}`;
		const hint = SYNTAX_HINTS[fault.code] ?? "correct the YAML";
		problems.set(`${fault.pos[0]} ${message}`, { position, message, hint });
	}
	return problems.values();
}
