/** What a caller may see: what lies in a namespace that is not theirs is not there, by any name or message. */
import { NOT_GRANTED } from "../../resources/checks/reference.js";
import { KINDS, resourceSet, resourcesOf } from "../../resources/kinds.js";
import { resourceTitle } from "../../resources/position.js";
import { formatProblem, namespaceOf, type Problem, type Resource, type ResourceSet } from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";
import type { ApplyPlan } from "../acts/applyPlan.js";

/** Whether the caller may read a namespace; `*` = all of them. */
export type MayRead = (namespace: string) => boolean;

export function visibleState({ revision, resources, status }: State, mayRead: MayRead): State {
	const own = <V>(entries: Readonly<Record<string, V>>): Record<string, V> =>
		Object.fromEntries(Object.entries(entries).filter(([name]) => mayRead(namespaceOf(name))));
	return {
		revision,
		resources: visibleSet(resources, mayRead),
		status: { experiments: own(status.experiments), services: own(status.services) },
	};
}

function visibleSet(set: ResourceSet, mayRead: MayRead): ResourceSet {
	return resourceSet(resourcesOf(set).filter(({ metadata }) => mayRead(metadata.namespace)));
}

/** Stands for what is hidden. */
export const HIDDEN = "a resource of another namespace";

/**
 * A kind and a whole name, as `resourceTitle` writes them; not what the answer to a name without a grant tells of
 * itself. What stands in quotes is a text that the caller wrote: to hide a name in it would tell that it is one.
 */
const TITLE = new RegExp(
	`"(?:[^"\\\\]|\\\\.)*"|\\b(${KINDS.join("|")}) ([a-z0-9](?:[-a-z0-9./]*[a-z0-9])?)(?![-\\w/]|\\.\\w)(?! ${NOT_GRANTED})`,
	"g",
);

/** Takes out of a text the names of what the caller may not see. Looks at all that is stored once, for many texts. */
export function visibleWords(
	stored: readonly Resource[],
	mayRead: MayRead,
): {
	clean(text: string): string;
	/** Of what is hidden. */
	readonly titles: ReadonlySet<string>;
} {
	const titles = new Set(stored.filter(({ metadata }) => !mayRead(metadata.namespace)).map(resourceTitle));
	// A word alone may be no name at all, so of the namespace default it is hidden where it is stored.
	const isHidden = (title: string, name: string): boolean =>
		titles.has(title) || (name.includes("/") && !mayRead(namespaceOf(name)));
	const clean = (text: string): string =>
		text.replace(TITLE, (found, _, name?: string) => (name !== undefined && isHidden(found, name) ? HIDDEN : found));
	return { clean, titles };
}

/**
 * Problems of a change without the names of what the caller may not see: a change is checked against the whole, and its
 * problems would tell what stands in other namespaces. In the same words whether it stands there or not; a hint loses
 * the part that names it, for half a command is no advice. What the given texts are at fault for by themselves is told as it
 * is: it knows of nothing else, and a name that is hidden where it exists, and not where it does not, would tell that.
 */
export function visibleProblems(
	{ problems, faults }: Pick<ApplyPlan, "problems" | "faults">,
	stored: readonly Resource[],
	mayRead: MayRead,
): readonly Problem[] {
	const { clean, titles } = visibleWords(stored, mayRead);
	const files = new Set([...titles].map((title) => `stored ${title}`));
	const own = new Set(faults.map(formatProblem));
	return problems.map((problem) => {
		if (own.has(formatProblem(problem))) return problem;
		if (problem.position !== null && files.has(problem.position.file)) {
			return {
				position: null,
				message: "the change would break a resource of another namespace",
				hint: "ask its owners",
			};
		}
		const clauses = problem.hint.split("; ").filter((clause) => clean(clause) === clause);
		return { ...problem, message: clean(problem.message), hint: clauses.join("; ") };
	});
}
