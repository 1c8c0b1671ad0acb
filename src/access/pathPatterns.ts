/** Where a rule holds: prefixes and templates, any of which may fit. Many templates are told apart by their segments. */
import { fitsSegments, templateSegments, trimPrefix, underTrimmed } from "./path.js";

/** So few are sooner tried one by one. */
const TRIED_AT_ONCE = 4;

/** Templates that begin alike, segment by segment. */
interface Branch {
	readonly literals: Map<string, Branch>;
	/** Any segment that is not empty. */
	any: Branch | null;
	ends: boolean;
}

const branch = (): Branch => ({ literals: new Map(), any: null, ends: false });

export class PathPatterns {
	/** Without the slash at the end. */
	readonly prefixes: readonly string[];
	/** null = one segment that is not empty. */
	readonly templates: readonly (readonly (string | null)[])[];
	readonly #root: Branch | null;

	constructor(prefixes: readonly string[], templates: readonly string[]) {
		this.prefixes = prefixes.map(trimPrefix);
		this.templates = templates.map(templateSegments);
		this.#root = templates.length <= TRIED_AT_ONCE ? null : treeOf(this.templates);
	}

	/** Whether one of them fits; there are none: whether anything is said of paths. */
	fits(path: string): boolean {
		const { prefixes, templates } = this;
		if (prefixes.length === 0 && templates.length === 0) return true;
		for (const prefix of prefixes) if (underTrimmed(path, prefix)) return true;
		if (this.#root !== null) return path.startsWith("/") && leads(this.#root, path.split("/"), 1);
		for (const template of templates) if (fitsSegments(path, template)) return true;
		return false;
	}
}

function treeOf(templates: PathPatterns["templates"]): Branch {
	const root = branch();
	for (const segments of templates) {
		let at = root;
		for (const segment of segments) {
			if (segment === null) {
				at.any ??= branch();
				at = at.any;
			} else {
				const next = at.literals.get(segment) ?? branch();
				at.literals.set(segment, next);
				at = next;
			}
		}
		at.ends = true;
	}
	return root;
}

function leads(from: Branch, segments: readonly string[], at: number): boolean {
	const segment = segments[at];
	if (segment === undefined) return from.ends;
	const literal = from.literals.get(segment);
	if (literal !== undefined && leads(literal, segments, at + 1)) return true;
	return from.any !== null && segment !== "" && leads(from.any, segments, at + 1);
}
