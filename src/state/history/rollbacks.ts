/** Rollbacks of access rules: what it takes to have those of an earlier revision again, and what that would do. */
import { NOTHING, planApply, type Wishes, type WishPlan } from "../acts/wishes.js";
import type { StoredResource } from "../store/database.js";
import type { Arrivals, Past } from "./arrivals.js";
import { FormerRules } from "./formerRules.js";
import { openedProblems } from "./opened.js";
import type { PolicyHistory, Restoration, Scope } from "./policyHistory.js";
import { bareProblems, spared } from "./spared.js";

export class Rollbacks {
	constructor(
		private readonly policies: PolicyHistory,
		private readonly arrivals: Arrivals,
	) {}

	/**
	 * What it takes.
	 * @param to null = before the last change in the scope
	 * @throws WeirError `failed-precondition` where that is not kept
	 */
	restoration(
		to: number | null,
		scope: Scope,
		now: Pick<Wishes, "resources"> & { readonly revision: number; readonly stored: readonly StoredResource[] },
	): Restoration {
		const restoration = this.policies.restoration(to, now, scope);
		return spared(restoration, now.resources, this.#past(restoration, now).past);
	}

	/** What it would do; changes nothing. */
	plan(restoration: Restoration, wishes: Wishes, nowMs: number): WishPlan {
		const plan = planApply(wishes, restoration.documents, nowMs, restoration.deletions);
		const { resources } = wishes;
		const { past, former } = this.#past(restoration, wishes);
		// What it opens takes some time to see, and is not seen where it is refused without it.
		const problems =
			plan.problems.length > 0
				? bareProblems(plan.problems, restoration, resources)
				: openedProblems(restoration, resources, past, former);
		return problems.length === 0 ? plan : { ...NOTHING, problems, given: plan.given };
	}

	#past(
		restoration: Restoration,
		{ resources }: Pick<Wishes, "resources">,
	): { readonly past: Past; readonly former: FormerRules } {
		const former = new FormerRules(this.policies.shelf, restoration, resources);
		return { former, past: this.arrivals.since(restoration.revision, (service) => former.hasNamed(service)) };
	}
}
