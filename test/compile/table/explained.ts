/** A rule of `weir explain` as one text. */
import type { RuleExecution } from "../../../src/compile/plan/compiledPlan.js";

export const wordsOf = ({ because, facts = [] }: RuleExecution): string =>
	[because, ...facts.map((fact) => fact.join(" "))].join("; ");
