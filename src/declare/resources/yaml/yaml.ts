/**
 * Parses YAML text to plain values with positions, one document at a time. Stricter than YAML: no duplicate or non-text
 * keys, no tags, only plain decimal numbers (1e3, 0x10, 017 and 0o17 read differently in YAML 1.1 and 1.2), limited
 * tokens, nesting and aliases. Never throws: every error becomes a Problem.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter } from "yaml";
import { RESOURCE_DEPTH_MAX, RESOURCE_DOCUMENTS_MAX } from "../../../limits/index.js";
import type { DocumentPlaces } from "../position.js";
import type { Position, Problem } from "../resource.js";
import { DocumentReader } from "./reader.js";
import { documentsOf, type Ended, syntaxProblems } from "./syntax.js";
import { type TokenBudget, tokenBudget, tokensOf } from "./tokens.js";

/** One resource file: far above any real one, and small enough to parse at once. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** One document that is a mapping. Its value has only strings, numbers, booleans, null, arrays and plain objects. */
export interface YamlDocument {
	readonly value: Readonly<Record<string, unknown>>;
	readonly places: DocumentPlaces;
	/** Whether it has faults that were reported already: it is worth checking further, and not worth using. */
	readonly faulty: boolean;
	/** Paths of values that were reported as unreadable: what follows from them is no news. */
	readonly reported: ReadonlySet<string>;
}

export interface YamlFile {
	readonly documents: readonly YamlDocument[];
	readonly problems: readonly Problem[];
}

/** Control characters that YAML forbids (YAML 1.2.2, section 5.1); NUL among them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

const FIRST_RESOURCE = "write at least one resource with apiVersion, kind, metadata and spec";

/**
 * Reads all documents of a file; empty documents between `---` lines are skipped.
 * @param empty the hint for a file without documents
 * @param budget shared by the files of one request
 */
export function readYaml(
	file: { readonly name: string; readonly text: string },
	empty = FIRST_RESOURCE,
	budget: TokenBudget = tokenBudget(),
): YamlFile {
	const start: Position = { file: file.name, line: 1, column: 1 };
	const refuse = (message: string, hint: string, position = start): YamlFile => ({
		documents: [],
		problems: [{ position, message, hint }],
	});
	const text = file.text.startsWith("\ufeff") ? file.text.slice(1) : file.text;
	if (Buffer.byteLength(text) > RESOURCE_FILE_BYTES_MAX) {
		return refuse(`the file is larger than ${RESOURCE_FILE_BYTES_MAX} bytes`, "split it into several files");
	}
	const forbidden = FORBIDDEN.exec(text);
	if (forbidden !== null) {
		const code = forbidden[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
		return refuse(
			`control character U+${code}, which YAML forbids`,
			"remove it; the file must be plain text in UTF-8",
			positionAt(file.name, text, forbidden.index),
		);
	}
	const tokens = tokensOf(text, budget);
	if ("offset" in tokens) return refuse(tokens.message, tokens.hint, positionAt(file.name, text, tokens.offset));
	const lines = new LineCounter();
	try {
		return readDocuments(file.name, documentsOf(tokens, lines), lines, empty);
	} catch (thrown) {
		// The package composes recursively, and callers have used part of the stack.
		const why = thrown instanceof RangeError ? "the document is nested too deeply" : "the text cannot be read as YAML";
		return refuse(why, `nest at most ${RESOURCE_DEPTH_MAX} levels`);
	}
}

function readDocuments(
	name: string,
	parsed: Generator<Document.Parsed, Ended, undefined>,
	lines: LineCounter,
	empty: string,
): YamlFile {
	const documents: YamlDocument[] = [];
	const problems: Problem[] = [];
	const at = (offset: number): Position => {
		const { line, col } = lines.linePos(offset);
		return { file: name, line: Math.max(line, 1), column: Math.max(col, 1) };
	};
	/** Reported alone, without the problems found so far. */
	const only = (offset: number, message: string, hint: string): YamlFile => ({
		documents: [],
		problems: [{ position: at(offset), message, hint }],
	});
	let count = 0;
	let filled = false;
	let next = parsed.next();
	for (; next.done !== true; next = parsed.next()) {
		const document = next.value;
		count++;
		if (count > RESOURCE_DOCUMENTS_MAX) {
			const message = `more than ${RESOURCE_DOCUMENTS_MAX} documents in one file`;
			return only(document.range[0], message, "split it into several files");
		}
		const faults = [...document.errors, ...document.warnings];
		for (const problem of syntaxProblems(faults, at)) problems.push(problem);
		if (document.errors.length > 0) continue;
		const { contents } = document;
		if (contents === null || (isScalar(contents) && contents.value === null)) continue;
		filled = true;
		if (!isMap(contents)) {
			problems.push({
				position: at(contents.range?.[0] ?? 0),
				message: `the document is ${isSeq(contents) ? "a list" : isAlias(contents) ? "an alias" : "a single value"}`,
				hint: "write a mapping with apiVersion, kind, metadata and spec; separate resources by a line ---",
			});
			continue;
		}
		const reader = new DocumentReader(at, document.range[2] - document.range[0]);
		const value = reader.read(contents, []) as Record<string, unknown>;
		for (const problem of reader.problems) problems.push(problem);
		const faulty = faults.length + reader.problems.length > 0;
		documents.push({ value, places: reader.places, faulty, reported: reader.reported });
	}
	const { faults, why } = next.value;
	if (why !== null && why !== "enough") return only(why.offset, why.message, why.hint);
	for (const problem of syntaxProblems(faults, at)) problems.push(problem);
	if (why === "enough") {
		problems.push({ position: null, message: "and more problems", hint: "correct those above first" });
	}
	if (!filled && problems.length === 0) {
		problems.push({ position: at(0), message: "the file holds nothing", hint: empty });
	}
	return { documents, problems };
}

function positionAt(file: string, text: string, offset: number): Position {
	const before = text.slice(0, offset);
	return { file, line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}
