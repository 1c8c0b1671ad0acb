/** Services that a declaration takes endpoints away from, or opens by grants, for who declares it: by name, and how many more. Pure. */
import type { ToldServices } from "../state/consequences/unplaced.js";
import { oneLine } from "./commands/oneLine.js";

interface Told {
	readonly unplaced?: ToldServices;
	readonly opened?: ToldServices;
}

export const warningLines = ({ unplaced, opened }: Told): readonly string[] => [
	...linesOf(opened, (further) => `${further} may let in more callers by it`),
	...linesOf(unplaced, (further) => `Variants of ${further} have no endpoint by it any more`),
];

function linesOf(
	{ services, more }: ToldServices = { services: [], more: 0 },
	moreWords: (further: string) => string,
): readonly string[] {
	const named = services.map(({ resource, words }) => `warning: ${oneLine(`${resource}: ${words}`)}`);
	if (more === 0) return named;
	const further = `${more}${services.length > 0 ? " more" : ""} ${more === 1 ? "Service" : "Services"}`;
	return [...named, `warning: ${moreWords(further)}`];
}
