/** Hides resources of namespaces that the caller may not read, also in messages. */

import type { State } from "../../decide/rollout/ports.js";
import { NOT_GRANTED } from "../../declare/resources/checks/reference.js";
import { KINDS, resourceSet, resourcesOf } from "../../declare/resources/kinds.js";
import { resourceTitle } from "../../declare/resources/position.js";
import {
	formatProblem,
	namespaceOf,
	type Problem,
	type Resource,
	type ResourceSet,
} from "../../declare/resources/resource.js";
import type { ApplyPlan } from "../operations/applyPlan.js";

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

/**
 * A kind and a full name, as `resourceTitle` writes them. Not in the answer to a name without a grant, which is the same
 * whether the resource exists or not. Quoted text is the caller's own.
 */
const TITLE = new RegExp(
	`"(?:[^"\\\\]|\\\\.)*"|\\b(${KINDS.join("|")}) ([a-z0-9](?:[-a-z0-9./]*[a-z0-9])?)(?![-\\w/]|\\.\\w)(?! ${NOT_GRANTED})`,
	"g",
);

/** @returns whether a text names a resource that the caller may not read, existing or not */
export function hiddenNames(stored: readonly Resource[], mayRead: MayRead): (text: string) => boolean {
	const titles = new Set(stored.filter(({ metadata }) => !mayRead(metadata.namespace)).map(resourceTitle));
	// A name without a namespace may be any word, so it is hidden only if it is stored.
	const isHidden = (title: string, name: string): boolean =>
		titles.has(title) || (name.includes("/") && !mayRead(namespaceOf(name)));
	return (text) => [...text.matchAll(TITLE)].some(([title, , name]) => name !== undefined && isHidden(title, name));
}

/**
 * Problems of a change; one that names a resource that the caller may not read is replaced by one general sentence. Faults
 * of the given texts alone are shown unchanged, because they cannot name other resources.
 */
export function visibleProblems(
	{ problems, faults }: Pick<ApplyPlan, "problems" | "faults">,
	stored: readonly Resource[],
	mayRead: MayRead,
): readonly Problem[] {
	const isHidden = hiddenNames(stored, mayRead);
	const own = new Set(faults.map(formatProblem));
	return problems.map((problem) => {
		const { position, message, hint } = problem;
		if (own.has(formatProblem(problem))) return problem;
		const isOfHidden = position?.file.startsWith("stored ") === true && isHidden(position.file);
		if (isOfHidden || isHidden(message)) {
			const summary = "the change conflicts with a resource of another namespace";
			return { position: isOfHidden ? null : position, message: summary, hint: "ask its owners" };
		}
		const clauses = hint.split("; ").filter((clause) => !isHidden(clause));
		return { ...problem, hint: clauses.join("; ") };
	});
}
