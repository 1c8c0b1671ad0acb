/** Where a rule holds: prefixes and templates, any of which may fit. Many templates are told apart by their segments. */
import { PATH_TEMPLATE_CHARS_MAX } from "../limits.js";
import { fitsSegments, templateSegments, trimPrefix, underTrimmed } from "./path.js";

/** So few are sooner tried one by one, in a path that is soon looked through. */
const TRIED_AT_ONCE = 4;
const LOOKED_THROUGH_CHARS = 512;

/** Pieces of a path that can fit a template, and one more: a segment is a slash at least. */
const PIECES_MAX = PATH_TEMPLATE_CHARS_MAX + 2;

/** The path that was asked about last: all rules of a Service are asked about one, and clients choose how long it is. */
let last = { path: "", pieces: [""] as readonly string[] };

function piecesOf(path: string): readonly string[] {
	if (path !== last.path) last = { path, pieces: path.split("/", PIECES_MAX) };
	return last.pieces;
}

/** Templates that begin alike, segment by segment. Most have one way on: a Map for each would be most of the memory. */
interface Branch {
	/** A literal segment, and what follows it. */
	literal: string | null;
	next: Branch | null;
	/** Further ones. */
	more: Map<string, Branch> | null;
	/** What follows any segment that is not empty. */
	any: Branch | null;
	ends: boolean;
}

const branch = (): Branch => ({ literal: null, next: null, more: null, any: null, ends: false });

export class PathPatterns {
	/** Without the slash at the end. */
	readonly prefixes: readonly string[];
	/** null = one segment that is not empty. */
	readonly templates: readonly (readonly (string | null)[])[];
	/** Made when it is first asked for. */
	#root: Branch | null = null;

	constructor(prefixes: readonly string[], templates: readonly string[]) {
		this.prefixes = prefixes.map(trimPrefix);
		this.templates = templates.map(templateSegments);
	}

	/** Whether one of them fits, or there is none: then nothing is said of paths. */
	fits(path: string): boolean {
		const { prefixes, templates } = this;
		if (prefixes.length === 0 && templates.length === 0) return true;
		for (const prefix of prefixes) if (underTrimmed(path, prefix)) return true;
		if (templates.length > TRIED_AT_ONCE || path.length > LOOKED_THROUGH_CHARS)
			return path.startsWith("/") && leads(this.#tree(), piecesOf(path), 1);
		for (const template of templates) if (fitsSegments(path, template)) return true;
		return false;
	}

	#tree(): Branch {
		this.#root ??= treeOf(this.templates);
		return this.#root;
	}
}

function treeOf(templates: PathPatterns["templates"]): Branch {
	const root = branch();
	for (const segments of templates) {
		let at = root;
		for (const segment of segments) at = segment === null ? anyOf(at) : literalOf(at, segment);
		at.ends = true;
	}
	return root;
}

function anyOf(from: Branch): Branch {
	from.any ??= branch();
	return from.any;
}

function literalOf(from: Branch, segment: string): Branch {
	const known = follow(from, segment);
	if (known !== undefined) return known;
	const next = branch();
	if (from.next === null) Object.assign(from, { literal: segment, next });
	else {
		from.more ??= new Map();
		from.more.set(segment, next);
	}
	return next;
}

const follow = ({ literal, next, more }: Branch, segment: string): Branch | undefined =>
	next !== null && literal === segment ? next : more?.get(segment);

/** Each branch is looked at once at most: what that costs is what templates have of segments (resources/checkRules.ts). */
function leads(from: Branch, segments: readonly string[], at: number): boolean {
	const segment = segments[at];
	if (segment === undefined) return from.ends;
	const literal = follow(from, segment);
	if (literal !== undefined && leads(literal, segments, at + 1)) return true;
	return from.any !== null && segment !== "" && leads(from.any, segments, at + 1);
}
