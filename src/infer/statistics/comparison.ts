/**
 * One comparison of a challenger with the baseline, by the method that the question asks for.
 */
import { compareMeans } from "./compareMeans.js";
import { compareShares } from "./compareShares.js";
import type { MetricEvidence } from "./evidence.js";
import { type Measured, methodOf, type Question, type Unmeasured } from "./question.js";

/** What the data say, or why they say nothing. No data is never a number. */
export function compare(question: Question, t: MetricEvidence, c: MetricEvidence): Measured | Unmeasured {
	return methodOf(question) === "asympcs" ? compareMeans(question, t, c) : compareShares(question, t, c);
}
