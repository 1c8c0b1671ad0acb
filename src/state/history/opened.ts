/** Removed with the comparison of rules (branch take-state deletes this file). */
import type { Problem } from "../../resources/resource.js";
import type { Past } from "./arrivals.js";
import type { FormerRules } from "./formerRules.js";
import type { Restoration } from "./policyHistory.js";
import type { Rules } from "./spared.js";

export function openedProblems(_: Restoration, __: Rules, ___: Past, ____: FormerRules): readonly Problem[] {
	return [];
}
