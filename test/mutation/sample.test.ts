/**
 * A sample of the mutation run, a mutant of each room and of each way to be noticed, so that the fast tier sees the
 * machinery at work and the suite's sharpness: a point too many, a lost denial. All mutants are test/long/mutation.test.ts'.
 */
import t from "tap";
import { mutualTls } from "../compile/access/mutualTls.js";
import type { Mutant } from "./mutants.js";
import { runMutation } from "./mutation.js";
import { headline, summarise } from "./report.js";

t.setTimeout(180_000);

/** File, operator and a part of the change; the first such mutant is taken. */
const SAMPLE: readonly (readonly [file: string, operator: string, change: RegExp])[] = [
	["compile/assignment/region.js", "arithmetic", /^\+ → -$/],
	["compile/access/rules/rule.js", "condition", /this.matchesCaller/],
	["compile/envoy/matcher.js", "comparison", /^=== → !==$/],
	["compile/envoy/policyRule.js", "element removed", /url_path/],
	["publish/sidecar/compiledTable.js", "condition", /unit === null/],
];

t.test("each of these mutants is noticed", { timeout: 120_000 }, async (t) => {
	const verdicts = await runMutation({
		root: process.cwd(),
		extent: { seed: 9, services: 8, each: 24, edges: 1, paths: 24 },
		tls: await mutualTls(t),
		files: [...new Set(SAMPLE.map(([file]) => file))],
		workers: 1,
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
