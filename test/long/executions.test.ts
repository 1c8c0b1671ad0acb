/** All executions on every tested Envoy, with more seeds than the fast tier. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { runExecutions } from "../parity/executions.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));

t.setTimeout(2_800_000);

for (const version of tested) {
	for (const seed of [11, 12, 13]) {
		t.test(`Envoy ${version}, seed ${seed}`, { timeout: 300_000 }, async (t) => {
			const { requests, mismatches } = await runExecutions(t, { seed, services: 64, each: 300, version });
			t.same(mismatches.slice(0, 10), [], `${mismatches.length} mismatches in ${requests} requests`);
		});
	}
}
