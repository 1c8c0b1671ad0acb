/** Prefixes or templates of paths that begin alike, segment by segment: what lies within one of them is found without trying each. */
import { prefixSegments, templateSegments } from "../requests/path.js";
import { type Branch, follow, type Segments, treeOf } from "../rules/pathBranch.js";
import { lookupsOf, type Room } from "./comparisons.js";

/** What an exact segment is compared by; of any segment, the shortest. */
const lookups = (segment: string | null): number => lookupsOf(segment ?? "");

export class PathTree {
	readonly #root: Branch;

	private constructor(paths: readonly Segments[]) {
		this.#root = treeOf(paths);
	}

	static ofPrefixes(prefixes: readonly string[]): PathTree {
		return new PathTree(prefixes.map(prefixSegments));
	}

	static ofTemplates(templates: readonly string[]): PathTree {
		return new PathTree(templates.map(templateSegments));
	}

	/** Whether all that fits the path lies under one of them, which are prefixes. @param room each step is taken from it */
	isOver(path: Segments, room: Room): boolean {
		let at: Branch | undefined = this.#root;
		for (const segment of path) {
			if (at.ends) return true;
			if (segment === null || !room.take(lookups(segment))) return false;
			at = follow(at, segment);
			if (at === undefined) return false;
		}
		return at.ends;
	}

	/** Whether all that fits the template fits one of them, which are templates too. @param room as of isOver */
	holds(template: Segments, room: Room): boolean {
		let all: readonly Branch[] = [this.#root];
		for (const segment of template) {
			if (!room.take(all.length * lookups(segment))) return false;
			const next: Branch[] = [];
			for (const one of all) {
				const exact = segment === null ? undefined : follow(one, segment);
				if (exact !== undefined) next.push(exact);
				if (one.any !== null && segment !== "") next.push(one.any);
			}
			if (next.length === 0) return false;
			all = next;
		}
		return all.some(({ ends }) => ends);
	}
}
