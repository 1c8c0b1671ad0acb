/** Compares a challenger with the baseline by the question's method. */
import { compareMeans } from "./compareMeans.js";
import { compareShares } from "./compareShares.js";
import type { MetricEvidence } from "./evidence.js";
import { type Measured, methodOf, type Question, type Unmeasured } from "./question.js";

/** The result, or the reason why there is none. Missing data never give a number. */
export function compare(question: Question, t: MetricEvidence, c: MetricEvidence): Measured | Unmeasured {
	return methodOf(question) === "asympcs" ? compareMeans(question, t, c) : compareShares(question, t, c);
}
