/** Decisions stored before rules had numbers, by the code that made them then, are made again. */
import { readFileSync } from "node:fs";
import t from "tap";
import { canonicalJson } from "../../src/resources/canonicalJson.js";
import { decide } from "../../src/rollout/decide.js";
import { type Decision, RULES } from "../../src/rollout/decision.js";
import { completed } from "../../src/rollout/formerRules.js";
import { recompute, recomputedWords } from "../../src/rollout/recompute.js";

const file = new URL("../../../test/fixtures/rollout/decisionsOfFormerRules.jsonl", import.meta.url);
const stored = readFileSync(file, "utf8")
	.trim()
	.split("\n")
	.map((line) => JSON.parse(line) as Decision);

for (const decision of stored)
	t.test(`${decision.sequence}: ${decision.outcome.action} by ${decision.outcome.rule}`, async (t) => {
		const again = recompute(decision);
		t.ok(again?.matches && again.former, `${again?.expected}\n${again?.actual}`);
		t.match(recomputedWords(decision), { holds: true, words: /it says the same, by the rules of its time/ });
		t.notMatch(again?.actual, /summary|logE|harmAlpha/, "without the words that came later");
	});

t.test("what says something else does not match", async (t) => {
	for (const decision of stored) {
		const touched = JSON.parse(
			canonicalJson(decision).replace(
				/"(n|mean|value|frozenAtMs)":(\d+)/,
				(_, name, value) => `"${name}":${Number(value) + 7}`,
			),
		) as Decision;
		const lied = { ...decision, outcome: { ...decision.outcome, reason: decision.outcome.reason.replace(/\d/, "9") } };
		t.notOk(recompute(lied)?.matches && recompute(touched)?.matches, `${decision.sequence}`);
	}
});

t.test("the same evidence by the present rules is judged by them: lost entries stop the ramp", async (t) => {
	const input = stored.find(({ outcome }) => outcome.rule === "ramp")?.input;
	if (input === undefined || input === null) throw new RangeError("the fixture has no ramp");
	t.match(decide(input), { action: "ramp" });
	const now = { ...completed(input), rules: RULES };
	t.match(decide(now), { action: "hold", rule: "data", reason: /40 access-log entries were dropped/ });
});
