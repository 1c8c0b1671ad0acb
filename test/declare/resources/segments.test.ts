/** Segments of an Experiment: headers that many units share, and never one that carries units. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD, spoil } from "./declaration.js";
import { checkRows, problemsOf, shortProblemsOf } from "./faultTable.js";

const segmented = (written: string, text = GOOD): string =>
	spoil("  rollout:\n", `  segments: ${written}\n  rollout:\n`, text);

/** With so many guardrails, each on a Metric of its own. */
function guarded(count: number, text: string): string {
	const names = Array.from({ length: count }, (_, index) => `guard-${index}`);
	const metrics = names.map(
		(name) => `---\napiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: ${name}}\nspec: {type: rate}\n`,
	);
	const lines = names.map((name) => `    - {metric: ${name}, margin: {absolute: 1pp}}\n`);
	return (
		spoil(
			"    - {metric: latency-p99, margin: {relative: 100%}}\n    - {metric: error-rate, margin: {absolute: 0.5pp}}\n",
			lines.join(""),
			text,
		) + metrics.join("")
	);
}

const BOOSTED = "    - {name: boosted, variant: v2, weight: 1}\n";
const ARMS = Array.from({ length: 10 }, (_, index) => BOOSTED.replace("boosted", `arm-${index}`)).join("");
const MANY = guarded(10, spoil(BOOSTED, ARMS));

t.test("segments are parsed as declared", async (t) => {
	const text = segmented("[{name: country, header: X-Country}, {name: plan, header: x-plan}]");
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	t.same(resources.experiments[0]?.spec.segments, [
		{ name: "country", header: "x-country" },
		{ name: "plan", header: "x-plan" },
	]);
});

checkRows(t, [
	[
		"the header of its own units",
		segmented("[{name: user, header: X-User-Id}]"),
		["w.yaml:55:35: segment user is of header x-user-id, which carries units"],
	],
	[
		"the header that units are usually in",
		segmented("[{name: user, header: x-user-id}]", spoil("{header: x-user-id}", "{header: x-tenant}")),
		["w.yaml:55:35: segment user is of header x-user-id, which carries units"],
	],
]);

t.test("the number of tests in a look is bounded", async (t) => {
	const five = ["a", "b", "c", "d", "e"].map((name) => `{name: ${name}, header: x-${name}}`);
	t.match(problemsOf(segmented(`[${five.join(", ")}]`, MANY)), [
		/^w\.yaml:\d+:\d+: segments make 11550 tests of harm at every look \(10 challengers × 11 claims × 105 values\), more than 10000; declare fewer segments, guardrails or arms$/,
	]);
	t.same(shortProblemsOf(segmented(`[${five.slice(1).join(", ")}]`, MANY)), []);
	t.match(problemsOf(guarded(21, GOOD)), [
		/^w\.yaml:\d+:\d+: .*guardrails.*at most 20 guardrails: each takes a part of alpha$/,
	]);
	t.same(shortProblemsOf(guarded(20, GOOD)), []);
});
