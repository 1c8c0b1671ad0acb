/** A real Envoy accepts all key sets that control publishes, and gives each token the sidecar's verdict. */
import t from "tap";
import { generatedSets, judgeKeySets } from "./keySets/judge.js";
import { NAMED_SETS } from "./keySets/sets.js";

t.setTimeout(120_000);

t.test("Envoy accepts every published key set, and exactly the tokens that the sidecar accepts", async (t) => {
	const sets = [...NAMED_SETS, ...generatedSets(60, 1)];
	const { tokens, accepted, parted } = await judgeKeySets(t, sets);
	t.comment(`${sets.length} sets, ${tokens} tokens, ${accepted} accepted`);
	t.same(parted, []);
	t.ok(accepted > tokens / 20 && accepted < tokens / 2, "both verdicts are common");
});
