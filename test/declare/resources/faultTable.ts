/** Tables of declarations with one fault each, and the whole of what is said about it, place included. */
import type t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";

/** No problems = the declaration is accepted. */
export type Row = readonly [what: string, text: string, problems: readonly string[]];

/** What is said about a text. */
export const problemsOf = (text: string): readonly string[] =>
	loadResources([{ name: "w.yaml", text }]).problems.map(formatProblem);

/** One test for each row. */
export function checkRows(tap: typeof t, rows: readonly Row[]): void {
	for (const [what, text, expected] of rows) {
		tap.test(what, async (t) => {
			t.same(problemsOf(text), expected);
		});
	}
}
