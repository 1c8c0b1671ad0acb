/** What a client refuses, and whose it is by its words. Pure. */
import { namespaceOf } from "../resources/resource.js";

/** One resource that the client refuses of what it should have. */
export interface Refused {
	readonly type: string;
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
	/** The client's own words. */
	readonly words: string;
}

/** Sorted, each once. */
export const namespacesOf = (services: Iterable<string>): readonly string[] =>
	[...new Set([...services].map(namespaceOf))].sort();

/** Of the Services and Experiments that the errors were put down to. */
export const namespacesIn = (errors: readonly Refused[]): ReadonlySet<string> =>
	new Set(
		errors.flatMap(({ source }) => {
			const name = /^(?:Service|Experiment) (.+)$/.exec(source)?.[1];
			return name === undefined ? [] : [namespaceOf(name)];
		}),
	);

/** Words that came for Services of several namespaces. */
export function sharedOf(errors: readonly Refused[]): readonly string[] {
	return [...new Set(errors.map(({ words }) => words))].filter(
		(words) => namespacesIn(errors.filter((one) => one.words === words)).size > 1,
	);
}
