/**
 * The mutation run over compiler, assignment, access and the sidecar's decision: how much of what changes behaviour
 * the parity suite notices, and of the rest the tests that own the part (test/mutation/owners.ts). All 6,500 mutants take two
 * cores some three hours with nothing else beside them, so each fourth is tried, some 45 minutes: WEIR_MUTATION_PART (0 to 3)
 * says from which one on, and `all` asks for all. WEIR_MUTATION_REPORT names a file for all of it; WEIR_MUTATION_FILES
 * (`compiler/route.js sidecar/answer.js`) asks for those files alone, whole.
 */
import { writeFile } from "node:fs/promises";
import t from "tap";
import { mutualTls } from "../compile/access/mutualTls.js";
import type { Mutant } from "../mutation/mutants.js";
import { runMutation } from "../mutation/mutation.js";
import { OWNERS } from "../mutation/owners.js";
import { headline, markdown, summarise } from "../mutation/report.js";

t.setTimeout(14_400_000);

const { WEIR_MUTATION_REPORT: report, WEIR_MUTATION_FILES: files, WEIR_MUTATION_PART: part = "0" } = process.env;
const PARTS = 4;
const isWhole = files !== undefined || part === "all";
const isAsked = ({ file }: Mutant): boolean => files === undefined || files.split(" ").includes(file);

t.test("parity suite and owners kill 95 % of the mutants that change behaviour", { timeout: 14_300_000 }, async (t) => {
	const verdicts = await runMutation({
		root: process.cwd(),
		extent: { seed: 4, services: 24, each: 25, edges: 10, paths: 40 },
		tls: await mutualTls(t),
		owners: OWNERS,
		workers: 2,
		choose: (mutants) => mutants.filter(isAsked).filter((_, at) => isWhole || at % PARTS === Number(part)),
		progress: ({ fate }, done, of) => {
			if (done % 100 === 0 || fate === "unclear") t.comment(`${done} of ${of}`);
		},
	});
	const summary = summarise(verdicts);
	if (report !== undefined) await writeFile(report, markdown(verdicts));
	for (const line of headline(summary).split("\n")) t.comment(line);
	for (const { mutant } of summary.holes) t.comment(`survived: ${mutant.file}:${mutant.line} ${mutant.change}`);
	t.ok(verdicts.length > (files === undefined ? 1_000 : 0), `${verdicts.length} mutants`);
	t.ok(summary.unclear.length < 10, `${summary.unclear.length} unclear`);
	t.ok(summary.share >= 0.95, `${(100 * summary.share).toFixed(1)} % killed`);
});
