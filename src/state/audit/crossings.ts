/** What of a refused declaration reaches into other namespaces, for the audit log, which the platform's admins alone read. */
import { NOT_GRANTED } from "../../resources/checks/reference.js";
import type { Problem, Resource } from "../../resources/resource.js";
import type { WishPlan } from "../acts/wishes.js";
import { HIDDEN, visibleProblems } from "../api/visible.js";

/**
 * The problems that are about a resource of another namespace (a reference without a grant, a host or a server that is taken), in
 * full. Others are not among them: they repeat what was written, secrets too.
 * @param namespaces in which the declaration acts
 */
export function crossings(
	plan: Pick<WishPlan, "problems" | "faults">,
	stored: readonly Resource[],
	namespaces: readonly string[],
): readonly string[] {
	const inside = visibleProblems(plan, stored, (namespace) => namespaces.includes(namespace));
	return plan.problems.flatMap(({ message }: Problem, index) => {
		const seen = inside[index]?.message ?? "";
		return seen.includes(HIDDEN) || seen.includes(NOT_GRANTED) ? [message] : [];
	});
}
