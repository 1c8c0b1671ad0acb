/** "Did you mean": the known name nearest to a mistyped one. */
import { inNamespace } from "./lookup.js";
import type { Named } from "./position.js";

/** Largest edit distance: a third of the length; v3 is no typo of v1. */
function editsMax(name: string): number {
	return Math.floor(name.length / 3);
}

/** The nearest known name, or null; ignores letter case, - and _. */
export function nearestName(name: string, known: readonly string[]): string | null {
	const fold = (text: string): string => text.toLowerCase().replace(/[-_]/g, "");
	let best: string | null = null;
	let least = editsMax(name) + 1;
	if (name.length > 64) return null;
	for (const candidate of known) {
		const edits = editDistance(fold(name), fold(candidate));
		if (edits < least) {
			least = edits;
			best = candidate;
		}
	}
	return best;
}

/** `did you mean "x"? ` or nothing, then the list of known names. */
export function knownNames(name: string, known: readonly string[], what: string): string {
	const nearest = nearestName(name, known);
	const shown = known.length > 24 ? [...known.slice(0, 24), "…"] : known;
	const list = shown.length === 0 ? `there are no ${what}` : `known ${what}: ${shown.join(", ")}`;
	return nearest === null ? list : `did you mean ${JSON.stringify(nearest)}? ${list}`;
}

/** The same for a resource and the names in its namespace. @param items of one kind */
export const knownNamed = ({ name, namespace }: Named["metadata"], items: readonly Named[], what: string): string =>
	knownNames(
		name,
		inNamespace(items, namespace).map(({ metadata }) => metadata.name),
		what,
	);

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(left: string, right: string): number {
	let before: number[] = [];
	let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
	for (let i = 1; i <= left.length; i++) {
		const current = [i];
		for (let j = 1; j <= right.length; j++) {
			const same = left[i - 1] === right[j - 1] ? 0 : 1;
			let cost = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, at(previous, j - 1) + same);
			if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
				cost = Math.min(cost, at(before, j - 2) + 1);
			}
			current.push(cost);
		}
		before = previous;
		previous = current;
	}
	return at(previous, right.length);
}

function at(row: readonly number[], index: number): number {
	return row[index] ?? Number.POSITIVE_INFINITY;
}
