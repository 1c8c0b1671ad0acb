/** Path prefixes and templates of a rule, one of which must match. Large sets are indexed. */
import { PATH_TEMPLATE_CHARS_MAX } from "../../../limits/index.js";
import { fitsSegments, isUnder, templateSegments, trimPrefix } from "../requests/path.js";
import { type Branch, follow, treeOf } from "./pathBranch.js";

const SLASH = 0x2f;

/** Up to this many, a linear search is faster. */
const LINEAR_MAX = 4;

/** Pieces between slashes of the longest path that a template can match, the empty one before the first slash, and one more. */
const PIECES_MAX = PATH_TEMPLATE_CHARS_MAX + 2;

/** Caches only the last path: all rules of a Service read the same one, and clients could fill a larger cache with long paths. */
let last = { path: "", pieces: [""] as readonly string[] };
let lastInOrder = { path: "", text: "" };

/** Its segments, as far as a template can match. */
function piecesOf(path: string): readonly string[] {
	if (path !== last.path) last = { path, pieces: path.split("/", PIECES_MAX) };
	return last.pieces;
}

/** Sort key: paths below a prefix directly follow it. */
const inOrder = (path: string): string => path.replaceAll("/", "\0");

function textOf(path: string): string {
	if (path !== lastInOrder.path) lastInOrder = { path, text: inOrder(path) };
	return lastInOrder.text;
}

export class PathPatterns {
	/** Without the slash at the end. */
	readonly prefixes: readonly string[];
	/** null = one segment that is not empty. */
	readonly templates: readonly (readonly (string | null)[])[];
	/** Made when it is first asked for. */
	#root: Branch | null = null;
	/** Likewise. */
	#sorted: readonly Sorted[] | null = null;

	constructor(prefixes: readonly string[], templates: readonly string[]) {
		this.prefixes = prefixes.map(trimPrefix);
		this.templates = templates.map(templateSegments);
	}

	/** Whether a pattern matches. Without patterns every path matches. */
	fits(path: string): boolean {
		const { prefixes, templates } = this;
		if (prefixes.length === 0 && templates.length === 0) return true;
		return this.#isUnder(path) || this.#isLike(path);
	}

	#isUnder(path: string): boolean {
		const { prefixes } = this;
		if (prefixes.length > LINEAR_MAX) {
			this.#sorted ??= sorted(prefixes);
			return isUnder(path, nearest(this.#sorted, textOf(path)));
		}
		for (const prefix of prefixes) if (isUnder(path, prefix)) return true;
		return false;
	}

	#isLike(path: string): boolean {
		const { templates } = this;
		if (templates.length === 0 || path.charCodeAt(0) !== SLASH) return false;
		if (templates.length > LINEAR_MAX) {
			this.#root ??= treeOf(templates);
			return leads(this.#root, piecesOf(path), 1);
		}
		for (const template of templates) if (fitsSegments(path, template)) return true;
		return false;
	}
}

interface Sorted {
	readonly prefix: string;
	readonly text: string;
}

/** Sorted, without those below another one. */
function sorted(prefixes: readonly string[]): readonly Sorted[] {
	const kept: Sorted[] = [];
	const all = prefixes.map((prefix) => ({ prefix, text: inOrder(prefix) }));
	for (const one of all.sort((one, other) => (one.text < other.text ? -1 : 1))) {
		const above = kept.at(-1);
		if (above === undefined || !isUnder(one.prefix, above.prefix)) kept.push(one);
	}
	return kept;
}

/**
 * The last prefix that is not after the path, which is the only one that can contain it: an earlier one that
 * contains it would contain this prefix too, and sorted() has removed such a prefix. The first if all are after it.
 */
function nearest(all: readonly Sorted[], text: string): string {
	let low = 0;
	let high = all.length;
	while (high - low > 1) {
		const middle = (low + high) >> 1;
		if ((all[middle]?.text ?? "") <= text) low = middle;
		else high = middle;
	}
	return all[low]?.prefix ?? "";
}

/** Visits each branch at most once: the cost is the number of template segments (src/declare/resources/checks/rules.ts). */
function leads(from: Branch, segments: readonly string[], at: number): boolean {
	const segment = segments[at];
	if (segment === undefined) return from.ends;
	const literal = follow(from, segment);
	if (literal !== undefined && leads(literal, segments, at + 1)) return true;
	return from.any !== null && segment !== "" && leads(from.any, segments, at + 1);
}
