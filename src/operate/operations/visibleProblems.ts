/** Hides resources of namespaces that the caller may not read, in the problems of a change. */
import { formatProblem, type Problem, type Resource } from "../../declare/resources/resource.js";
import { hiddenNames, type MayRead } from "../callers/hiddenNames.js";
import type { ChangeSet } from "../changes/changeSet.js";

/**
 * Problems of a change; one that names a resource that the caller may not read is replaced by one general sentence. Problems
 * of the given texts alone are shown unchanged, because they cannot name other resources.
 */
export function visibleProblems(
	{ problems, syntaxProblems }: Pick<ChangeSet, "problems" | "syntaxProblems">,
	stored: readonly Resource[],
	mayRead: MayRead,
): readonly Problem[] {
	const isHidden = hiddenNames(stored, mayRead);
	const own = new Set(syntaxProblems.map(formatProblem));
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
