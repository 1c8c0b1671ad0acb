/**
 * YAML text to plain values with places, one document at a time. Stricter than YAML: no duplicate or non-text
 * keys, no tags, no numbers in any but plain decimal form (1e3, 0x10, 017 and 0o17 read differently in YAML 1.1
 * and 1.2), bounded nesting and alias expansion. Never throws: every fault becomes a Problem.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from "yaml";
import {
	PROBLEMS_MAX,
	RESOURCE_ALIASED_CHARS,
	RESOURCE_ALIASED_VALUE,
	RESOURCE_DEPTH_MAX,
	RESOURCE_DOCUMENTS_MAX,
	RESOURCE_FILE_BYTES_MAX,
	RESOURCE_NODES_MAX,
} from "../limits.js";
import { DocumentPlaces, formatPath, type Path } from "./position.js";
import type { Position, Problem } from "./resource.js";

/** One document that is a mapping. Its value holds only strings, numbers, booleans, null, arrays and plain objects. */
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

/** Keys that mean something to JavaScript objects: never a field, and never let through. */
const RESERVED_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/** A number as people write it, the same in YAML 1.1, YAML 1.2 and JSON. */
const PLAIN_NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/;

/** Control characters that YAML forbids (YAML 1.2.2, section 5.1); NUL among them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

const FIRST_RESOURCE = "write at least one resource with apiVersion, kind, metadata and spec";

/**
 * Reads all documents of a file; empty documents between `---` lines are skipped.
 * @param empty what to write where there is none
 */
export function readYaml(file: { readonly name: string; readonly text: string }, empty = FIRST_RESOURCE): YamlFile {
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
	const lines = new LineCounter();
	try {
		// Keys are compared by the reader below: the package compares each with each, which is quadratic.
		const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
		return readDocuments(file.name, Array.isArray(parsed) ? parsed : [], lines, start, empty);
	} catch (thrown) {
		// The package parses by recursion: brackets nested by the thousand exhaust the stack.
		const why = thrown instanceof RangeError ? "the document is nested too deeply" : "the text cannot be read as YAML";
		return refuse(why, `nest at most ${RESOURCE_DEPTH_MAX} levels`);
	}
}

function readDocuments(
	name: string,
	parsed: readonly Document.Parsed[],
	lines: LineCounter,
	start: Position,
	empty: string,
): YamlFile {
	const documents: YamlDocument[] = [];
	const problems: Problem[] = [];
	const at = (offset: number): Position => {
		const { line, col } = lines.linePos(offset);
		return { file: name, line: Math.max(line, 1), column: Math.max(col, 1) };
	};
	const excess = parsed[RESOURCE_DOCUMENTS_MAX];
	if (excess !== undefined) {
		// Alone: with so many documents it would drown among their own problems.
		const message = `more than ${RESOURCE_DOCUMENTS_MAX} documents in one file`;
		return {
			documents: [],
			problems: [{ position: at(excess.range[0]), message, hint: "split it into several files" }],
		};
	}
	let count = 0;
	for (const document of parsed) {
		const faults = [...document.errors, ...document.warnings];
		for (const problem of syntaxProblems(faults, at)) problems.push(problem);
		const { yaml } = document.directives;
		if (yaml.explicit && yaml.version !== "1.2") {
			const hint = "remove the %YAML line: Weir reads YAML 1.2, where yes and no are text";
			return { documents: [], problems: [{ position: start, message: `YAML version ${yaml.version}`, hint }] };
		}
		if (document.errors.length > 0) continue;
		const { contents } = document;
		if (contents === null || (isScalar(contents) && contents.value === null)) continue;
		count++;
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
		problems.push(...reader.problems);
		const faulty = faults.length + reader.problems.length > 0;
		documents.push({ value, places: reader.places, faulty, reported: reader.reported });
	}
	if (count === 0 && problems.length === 0) {
		problems.push({ position: start, message: "the file holds nothing", hint: empty });
	}
	return { documents, problems };
}

/** Walks one document. Class, because anchors, budget and problems live as long as the walk. */
class DocumentReader {
	readonly places = new DocumentPlaces();
	readonly problems: Problem[] = [];
	readonly reported = new Set<string>();
	readonly #at: (offset: number) => Position;
	readonly #anchors = new Map<string, Node>();
	/** Collections being read: an alias to one of them would never end. */
	readonly #open = new Set<Node>();
	#nodes = 0;
	/** How many aliases are being followed. */
	#aliases = 0;
	/** Characters that they may still add. */
	#left: number;

	/** @param chars the document's length */
	constructor(at: (offset: number) => Position, chars: number) {
		this.#at = at;
		this.#left = RESOURCE_ALIASED_CHARS + chars;
	}

	read(node: Node | null | undefined, path: Path, around: Position | null = null): unknown {
		const position = node?.range ? this.#at(node.range[0]) : around;
		if (position !== null) {
			const source = isScalar(node) ? (node.source ?? String(node.value)) : null;
			this.places.set(path, { position, source });
		}
		if (!node) return null;
		if (this.#aliases > 0 && !this.#afford(isScalar(node) ? String(node.value) : "", position)) return null;
		this.#nodes++;
		if (this.#nodes > RESOURCE_NODES_MAX) {
			if (this.#nodes === RESOURCE_NODES_MAX + 1) {
				const hint = "write the values out, or split the document";
				this.#report(position, `the document expands to more than ${RESOURCE_NODES_MAX} values`, hint);
			}
			return null;
		}
		if (path.length > RESOURCE_DEPTH_MAX) {
			this.reported.add(formatPath(path));
			this.#report(position, "the document is nested too deeply", `nest at most ${RESOURCE_DEPTH_MAX} levels`);
			return null;
		}
		if (isAlias(node)) return this.#alias(node.source, path, position);
		if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
		if (isScalar(node)) return this.#scalar(node.value, node.source, path, position);
		this.#open.add(node);
		const value = isMap(node)
			? this.#map(node.items, path, position)
			: isSeq(node)
				? node.items.map((item, index) => this.read(item as Node | null, [...path, index], position))
				: null;
		this.#open.delete(node);
		return value;
	}

	#alias(name: string, path: Path, position: Position | null): unknown {
		const target = this.#anchors.get(name);
		if (target === undefined || this.#open.has(target)) {
			const what =
				target === undefined ? `alias *${name} has no anchor &${name} before it` : `alias *${name} contains itself`;
			this.reported.add(formatPath(path));
			this.#report(position, what, "write the value out");
			return null;
		}
		this.#aliases++;
		const value = this.read(target, path, position);
		this.#aliases--;
		return value;
	}

	/** Whether an alias may add the text still; says once that it may not. */
	#afford(text: string, position: Position | null): boolean {
		const had = this.#left;
		this.#left -= RESOURCE_ALIASED_VALUE + text.length;
		if (had >= 0 && this.#left < 0) {
			this.#report(position, "aliases make the document more than twice as long", "write the values out, or split it");
		}
		return this.#left >= 0;
	}

	#map(
		items: readonly { key: unknown; value: unknown }[],
		path: Path,
		around: Position | null,
	): Record<string, unknown> {
		const value: Record<string, unknown> = {};
		const seen = new Map<string, Position | null>();
		for (const item of items) {
			const keyNode = item.key as Node | null;
			const position = keyNode?.range ? this.#at(keyNode.range[0]) : around;
			const key = isScalar(keyNode) ? keyNode.value : null;
			if (typeof key !== "string") {
				const hint = "write a field name; put it in quotes if it looks like a number or a truth value";
				this.#report(position, `a key of ${formatPath(path) || "the document"} is not text`, hint);
				continue;
			}
			const name = formatPath([...path, key]);
			if (RESERVED_KEYS.has(key)) {
				this.#report(position, `${name} is a reserved name`, "remove it");
				continue;
			}
			if (seen.has(key)) {
				const first = seen.get(key);
				const where = first ? ` (first at ${first.line}:${first.column})` : "";
				this.#report(position, `${name} is written twice${where}`, "keep one of them");
				continue;
			}
			seen.set(key, position);
			if (this.#aliases > 0 && !this.#afford(key, position)) break;
			if (position !== null) this.places.setKey([...path, key], position);
			value[key] = this.read(item.value as Node | null, [...path, key], position);
		}
		return value;
	}

	#scalar(value: unknown, source: string | undefined, path: Path, position: Position | null): unknown {
		if (typeof value === "bigint" || (typeof value === "number" && !PLAIN_NUMBER.test(source ?? ""))) {
			this.reported.add(formatPath(path));
			const plain = Number.isFinite(Number(value)) ? `write ${Number(value)} if you mean the number, ` : "";
			const what = `${formatPath(path)} is ${source}, a number that readers of YAML read differently`;
			this.#report(position, what, `${plain || "write a plain decimal number, "}or put it in quotes`);
		}
		return value;
	}

	#report(position: Position | null, message: string, hint: string): void {
		if (this.problems.length < PROBLEMS_MAX) this.problems.push({ position, message, hint });
	}
}

interface SyntaxFault {
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

/** One problem per place and sentence: the package repeats itself for each bracket that is left open. */
function syntaxProblems(faults: readonly SyntaxFault[], at: (offset: number) => Position): Iterable<Problem> {
	const problems = new Map<string, Problem>();
	for (const fault of faults) {
		if (problems.size >= PROBLEMS_MAX) break;
		const position = at(fault.pos[0]);
		// The package turns an exhausted stack into a fault of its own, and then complains of each open bracket.
		if (fault.message.startsWith("Maximum call stack")) {
			const hint = `nest at most ${RESOURCE_DEPTH_MAX} levels`;
			return [{ position: at(0), message: "the document is nested too deeply", hint }];
		}
		const message = `YAML: ${fault.message.replace(/\s+/g, " ").trim()}`;
		const hint = SYNTAX_HINTS[fault.code] ?? "correct the YAML";
		problems.set(`${fault.pos[0]} ${message}`, { position, message, hint });
	}
	return problems.values();
}

function positionAt(file: string, text: string, offset: number): Position {
	const before = text.slice(0, offset);
	return { file, line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}
