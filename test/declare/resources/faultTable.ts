/** Tables of declarations with one fault each, and its problem with position. */
import type { Test, default as t } from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem, type Problem } from "../../../src/declare/resources/resource.js";

/** No problems = the declaration is accepted. */
export type Row = readonly [what: string, text: string, problems: readonly string[]];

/** Place and fault of each problem; what to write instead is prose, and only has to be there. */
export const faultsOf = (t: Test, problems: readonly Problem[]): readonly string[] =>
	problems.map((problem) => {
		const [fault = "", ...advice] = formatProblem(problem).split("; ");
		t.ok(advice.length > 0, `${fault}: and what to write instead`);
		return fault;
	});

/** The problems of a text. */
export const problemsOf = (text: string): readonly string[] =>
	loadResources([{ name: "w.yaml", text }]).problems.map(formatProblem);

/** The same without what to write instead. */
export const shortProblemsOf = (text: string): readonly string[] =>
	problemsOf(text).map((one) => one.split("; ")[0] ?? "");

/** One test for each row. */
export function checkRows(tap: typeof t, rows: readonly Row[]): void {
	for (const [what, text, expected] of rows) {
		tap.test(what, async (t) => {
			t.same(faultsOf(t, loadResources([{ name: "w.yaml", text }]).problems), expected);
		});
	}
}
