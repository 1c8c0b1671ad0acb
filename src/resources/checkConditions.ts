/** All conditions that one request to a Service can reach, together: each by itself is bounded where it is read. */
import { compileCondition } from "../access/condition.js";
import { ANYONE } from "../access/principal.js";
import { CONDITION_STEPS_MAX } from "../limits.js";
import { resourceTitle } from "./position.js";
import type { Check } from "./report.js";
import type { AccessPolicy, Service } from "./resource.js";

/** @param selected the policies that select the Service, in declared order */
export function conditionProblems({ report }: Check, service: Service, selected: readonly AccessPolicy[]): void {
	// With shadow policies the enforced ones are asked once more, to tell what would change.
	const again = selected.some(({ spec }) => spec.mode === "shadow") ? 2 : 1;
	let common = 0;
	const named = new Map<string, number>();
	let most = 0;
	for (const policy of selected) {
		const { condition, principals, mode } = policy.spec;
		if (condition === null) continue;
		const steps = compileCondition(condition).steps * (mode === "shadow" ? 1 : again);
		// A caller is one principal: what others are named in, it cannot reach.
		const exact = principals.length > 0 && principals.every((id) => id !== "*" && id !== ANYONE && !id.endsWith("/*"));
		if (exact) {
			for (const id of principals) {
				const sum = (named.get(id) ?? 0) + steps;
				named.set(id, sum);
				most = Math.max(most, sum);
			}
		} else common += steps;
		if (common + most <= CONDITION_STEPS_MAX) continue;
		const message = `spec.condition brings what one request to ${resourceTitle(service)} can cost to ${common + most} steps, more than ${CONDITION_STEPS_MAX}`;
		const hint =
			"name exact principals, or write pathPrefixes, pathTemplates, groups or claims instead of conditions; walks and contains() cost most";
		report(policy, ["spec", "condition"], message, hint);
		return;
	}
}
