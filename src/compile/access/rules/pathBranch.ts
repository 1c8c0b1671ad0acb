/** A tree of paths by segment, for templates or prefixes. */

/** null = any one segment that is not empty. */
export type Segments = readonly (string | null)[];

/** Most have one child: a Map for each would use most of the memory. */
export interface Branch {
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

export function treeOf(paths: readonly Segments[]): Branch {
	const root = branch();
	for (const segments of paths) {
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

/** The child for an exact segment. */
export const follow = ({ literal, next, more }: Branch, segment: string): Branch | undefined =>
	next !== null && literal === segment ? next : more?.get(segment);
