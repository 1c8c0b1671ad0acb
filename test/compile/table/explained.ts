/** A rule as `weir explain` tells it, in one text. */
import type { RuleExecution } from "../../../src/compile/table/plan.js";

export const wordsOf = ({ because, facts = [] }: RuleExecution): string =>
	[because, ...facts.map((fact) => fact.join(" "))].join("; ");
