/** Limits the total cost of the conditions that one request to a Service can reach. */
import { compileCondition } from "../../../compile/access/conditions/condition.js";
import { ANYONE } from "../../../compile/access/requests/principal.js";
import { CONDITION_STEPS_MAX } from "../../../limits/index.js";
import { resourceTitle } from "../position.js";
import type { AccessPolicy, Service } from "../resource.js";
import type { Check } from "./report.js";

/**
 * Reported at a policy of the change, if there is one.
 * @param selected the policies that select the Service, in declared order
 */
export function conditionProblems(check: Check, service: Service, selected: readonly AccessPolicy[]): void {
	const { steps } = costOf(selected);
	if (steps <= CONDITION_STEPS_MAX) return;
	const stored = selected.filter((one) => check.isStored(one));
	const cost = new Cost(timesAsked(selected));
	for (const one of stored) cost.add(one);
	const given = selected.filter((one) => !stored.includes(one));
	const over = given.find((one) => cost.add(one) > CONDITION_STEPS_MAX);
	// A changed Service or grant may select a stored policy.
	const policy = over ?? selected.find(({ spec }) => spec.condition !== null);
	if (policy === undefined) return;
	const message = `spec.condition brings what one request to ${resourceTitle(service)} can cost to ${cost.steps} steps, more than ${CONDITION_STEPS_MAX}`;
	const hint =
		"name exact principals, or write pathPrefixes, pathTemplates, groups or claims instead of conditions; walks and contains() cost most";
	check.report(policy, ["spec", "condition"], message, hint);
}

/** Shadow policies evaluate the enforced ones once more, for comparison. */
const timesAsked = (policies: readonly AccessPolicy[]): number =>
	policies.some(({ spec }) => spec.mode === "shadow") ? 2 : 1;

/** Steps of one request, by policy. A caller is one principal, so it cannot reach rules for other principals. */
class Cost {
	#common = 0;
	#most = 0;
	readonly #named = new Map<string, number>();
	/** @param asked how often enforced policies are asked */
	constructor(private readonly asked: number) {}

	get steps(): number {
		return this.#common + this.#most;
	}

	/** @returns the steps with it */
	add({ spec: { condition, principals, mode } }: AccessPolicy): number {
		const steps = condition === null ? 0 : compileCondition(condition).steps * (mode === "shadow" ? 1 : this.asked);
		const exact = principals.length > 0 && principals.every((id) => id !== "*" && id !== ANYONE && !id.endsWith("/*"));
		if (!exact) this.#common += steps;
		else if (steps > 0) {
			for (const id of principals) {
				const sum = (this.#named.get(id) ?? 0) + steps;
				this.#named.set(id, sum);
				this.#most = Math.max(this.#most, sum);
			}
		}
		return this.steps;
	}
}

function costOf(policies: readonly AccessPolicy[]): Cost {
	const cost = new Cost(timesAsked(policies));
	for (const one of policies) cost.add(one);
	return cost;
}
