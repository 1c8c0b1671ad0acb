/** test/trust/tokens/keySets.test.ts with many more sets, on every Envoy that we support. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { generatedSets, judgeKeySets } from "../trust/tokens/keySets/judge.js";
import { NAMED_SETS } from "../trust/tokens/keySets/sets.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));

/** Of one Envoy: each set is an issuer of its Gateway. */
const SETS = 120;

t.setTimeout(1_800_000);

for (const version of tested) {
	t.test(`Envoy ${version}`, { timeout: 600_000 }, async (t) => {
		for (const seed of [11, 12, 13, 14]) {
			const sets = [...(seed === 11 ? NAMED_SETS : []), ...generatedSets(SETS, seed)];
			const { tokens, accepted, parted } = await judgeKeySets(t, sets, version);
			t.comment(`${sets.length} sets, ${tokens} tokens, ${accepted} accepted`);
			t.same(parted, []);
			t.ok(accepted > tokens / 20, "not all are refused");
		}
	});
}
