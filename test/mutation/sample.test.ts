/**
 * A sample of the mutation run, one mutant of each kind of rule, so that the fast tier sees the machinery at work and
 * the suite's sharpness: a point too many, a lost denial, another salt. All of it is test/long/mutation.test.ts.
 */
import t from "tap";
import { mutualTls } from "../access/mutualTls.js";
import type { Mutant } from "./mutants.js";
import { runMutation } from "./mutation.js";
import { headline, summarise } from "./report.js";

t.setTimeout(180_000);

/** File, operator and a part of the change; the first such mutant is taken. */
const SAMPLE: readonly (readonly [file: string, operator: string, change: RegExp])[] = [
	["assignment/region.js", "arithmetic", /^\+ → -$/],
	["assignment/assign.js", "comparison", /^>= → >$/],
	["assignment/table.js", "string", /layer:|^ → ~$/],
	["access/path.js", "logic", /^\|\| → &&$/],
	["access/rule.js", "string", /"deny"/],
	["compiler/weights.js", "arithmetic", /^\* → \/$/],
	["compiler/matcher.js", "regular expression", /!-\*/],
	["compiler/matcher.js", "comparison", /^=== → !==$/],
	["compiler/policyRule.js", "element removed", /url_path/],
	["compiler/calloutRoute.js", "order", /./],
	["sidecar/compiledTable.js", "condition", /unit === null/],
	["sidecar/cookie.js", "string", /./],
];

t.test("each of a dozen mutants is noticed", { timeout: 120_000 }, async (t) => {
	const verdicts = await runMutation({
		root: process.cwd(),
		extent: { seed: 9, services: 12, each: 40, edges: 3, paths: 40 },
		tls: await mutualTls(t),
		workers: 2,
		choose: (mutants) =>
			SAMPLE.flatMap(([file, operator, change]): readonly Mutant[] => {
				const found = mutants.find((own) => own.file === file && own.operator === operator && change.test(own.change));
				t.ok(found, `there is such a mutant: ${file} ${operator}`);
				return found === undefined ? [] : [found];
			}),
	});
	for (const { fate, by, mutant, because } of verdicts) {
		t.equal(fate, "killed", `${mutant.file}:${mutant.line} ${mutant.change}: ${by} ${because?.slice(0, 100)}`);
	}
	t.comment(headline(summarise(verdicts)));
});
