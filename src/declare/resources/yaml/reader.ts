/** Converts the nodes of one YAML document to plain values with positions; limits aliases, nesting and size. */
import { isAlias, isMap, isScalar, isSeq, type Node } from "yaml";
import { PROBLEMS_MAX, RESOURCE_DEPTH_MAX } from "../../../limits/index.js";
import { DocumentPlaces, formatPath, type Path, shortened } from "../position.js";
import type { Position, Problem } from "../resource.js";

/** Values of one resource document, expanded aliases included. */
const RESOURCE_NODES_MAX = 200_000;

/**
 * Characters that aliases may add to a document, each value with at least RESOURCE_ALIASED_VALUE of them. A few aliases
 * can expand a kilobyte to gigabytes.
 */
const RESOURCE_ALIASED_CHARS = 4_000;
const RESOURCE_ALIASED_VALUE = 16;

/** Keys with a meaning for JavaScript objects (prototype pollution). */
const RESERVED_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/** A number that YAML 1.1, YAML 1.2 and JSON read alike. */
const PLAIN_NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/;

/** Reads one document. */
export class DocumentReader {
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
			const hint = `nest at most ${RESOURCE_DEPTH_MAX} levels`;
			this.#reportAt(path, position, "the document is nested too deeply", hint);
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
			const alias = shortened(name);
			const what =
				target === undefined ? `alias *${alias} has no anchor &${alias} before it` : `alias *${alias} contains itself`;
			this.#reportAt(path, position, what, "write the value out");
			return null;
		}
		this.#aliases++;
		const value = this.read(target, path, position);
		this.#aliases--;
		return value;
	}

	/** Whether an alias may still add the text. Reports the first refusal. */
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
			const field = [...path, key];
			if (RESERVED_KEYS.has(key)) {
				this.#report(position, `${formatPath(field)} is a reserved name`, "remove it");
				continue;
			}
			if (seen.has(key)) {
				const first = seen.get(key);
				const where = first ? ` (first at ${first.line}:${first.column})` : "";
				this.#report(position, `${formatPath(field)} is written twice${where}`, "keep one of them");
				continue;
			}
			seen.set(key, position);
			if (this.#aliases > 0 && !this.#afford(key, position)) break;
			if (position !== null) this.places.setKey(field, position);
			value[key] = this.read(item.value as Node | null, field, position);
		}
		return value;
	}

	#scalar(value: unknown, source: string | undefined, path: Path, position: Position | null): unknown {
		if (this.problems.length >= PROBLEMS_MAX) return value;
		if (typeof value === "bigint" || (typeof value === "number" && !PLAIN_NUMBER.test(source ?? ""))) {
			const number = plainDecimal(Number(value));
			const plain = number === null ? "" : `write ${number} if you mean the number, `;
			const what = `${formatPath(path)} is ${shortened(source ?? "")}, a number that readers of YAML read differently`;
			this.#reportAt(path, position, what, `${plain || "write a plain decimal number, "}or put it in quotes`);
		}
		return value;
	}

	/** Ignores further faults that follow from the value's fault. */
	#reportAt(path: Path, position: Position | null, message: string, hint: string): void {
		if (this.problems.length < PROBLEMS_MAX) this.reported.add(formatPath(path));
		this.#report(position, message, hint);
	}

	#report(position: Position | null, message: string, hint: string): void {
		if (this.problems.length < PROBLEMS_MAX) this.problems.push({ position, message, hint });
	}
}

/** The number without an exponent; null if that form would be too long. */
function plainDecimal(value: number): string | null {
	const size = Math.abs(value);
	if (!Number.isFinite(value) || size >= 1e21 || (size > 0 && size < 1e-15)) return null;
	return value.toLocaleString("en-US", { useGrouping: false, maximumFractionDigits: 20 });
}
