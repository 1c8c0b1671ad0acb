/** Services that a declaration takes endpoints away from, for who declares it: by name, and how many more. Pure. */
import type { ToldUnplaced } from "../state/consequences/unplaced.js";
import { oneLine } from "./commands/oneLine.js";

export function unplacedLines({ services, more }: ToldUnplaced = { services: [], more: 0 }): readonly string[] {
	const named = services.map(({ resource, words }) => `warning: ${oneLine(`${resource}: ${words}`)}`);
	if (more === 0) return named;
	const further = `${more}${services.length > 0 ? " more" : ""} ${more === 1 ? "Service" : "Services"}`;
	return [...named, `warning: Variants of ${further} have no endpoint by it any more`];
}
