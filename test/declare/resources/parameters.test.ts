/** Parameters of arms: names and values must be safe as headers, and an arm that would lose them has none. */

import t from "tap";
import { PARAMETERS_MAX } from "../../../src/declare/resources/fields/parameters.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD, spoil } from "./declaration.js";
import { checkRows, type Row } from "./faultTable.js";

const NAME = "is no name of a parameter";
const NOT_WITH_GOAL = "has parameters, and the goal would promote its Variant without them";

const noGoal = spoil("  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}\n", "");
const BOOSTED = "name: boosted, variant: v2, weight: 1";
const given = (written: string, text = noGoal): string => spoil(BOOSTED, `${BOOSTED}, parameters: ${written}`, text);
const many = (count: number): string => `{${Array.from({ length: count }, (_, index) => `p${index}: "1"`).join(", ")}}`;
const long = "a".repeat(65);
const at = "spec.arms[1].parameters";

const rows: readonly Row[] = [
	["a list", given("[a]"), [`w.yaml:50:59: ${at} is a list of 1`]],
	["a word", given("x"), [`w.yaml:50:59: ${at} is "x"`]],
	["empty", given("null"), [`w.yaml:50:59: ${at} is empty`]],
	["name with a capital", given('{aB: "1"}'), [`w.yaml:50:64: ${at}.aB ${NAME}`]],
	["name with an underscore", given('{a_b: "1"}'), [`w.yaml:50:65: ${at}.a_b ${NAME}`]],
	["name with a point", given('{a.b: "1"}'), [`w.yaml:50:65: ${at}.a.b ${NAME}`]],
	["empty name", given('{"": "1"}'), [`w.yaml:50:64: ${at}. ${NAME}`]],
	["name that begins with a hyphen", given('{-a: "1"}'), [`w.yaml:50:64: ${at}.-a ${NAME}`]],
	["name that ends with a hyphen", given('{a-: "1"}'), [`w.yaml:50:64: ${at}.a- ${NAME}`]],
	["name of 65 characters", given(`{${long}: "1"}`), [`w.yaml:50:127: ${at}.${long} ${NAME}`]],
	["value that is a number", given("{a: 0.2}"), [`w.yaml:50:63: ${at}.a is the number 0.2`]],
	["value that is a truth value", given("{a: true}"), [`w.yaml:50:63: ${at}.a is the truth value true`]],
	["value that is a list", given("{a: [x]}"), [`w.yaml:50:63: ${at}.a is a list of 1`]],
	["empty value", given('{a: ""}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	["value with a blank before it", given('{a: " x"}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	["value with a blank after it", given('{a: "x "}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	["value with a line break", given('{a: "x\\r\\nb: c"}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	["value with a tab", given('{a: "x\\ty"}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	["value beyond ASCII", given('{a: "é"}'), [`w.yaml:50:63: ${at}.a is no value of a parameter`]],
	[
		"value of 1025 characters",
		given(`{a: "${"x".repeat(1_025)}"}`),
		[`w.yaml:50:63: ${at}.a is no value of a parameter`],
	],
	["one more than there may be", given(many(PARAMETERS_MAX + 1)), [`w.yaml:50:59: ${at} has too many parameters`]],
	["with a goal", given('{a: "1"}', GOOD), [`w.yaml:50:59: arm boosted ${NOT_WITH_GOAL}`]],
	[
		"a goal includes the baseline",
		spoil("baseline: true", 'baseline: true, parameters: {b: "x"}', given('{a: "1"}', GOOD)),
		[`w.yaml:49:75: arm control ${NOT_WITH_GOAL}`, `w.yaml:50:59: arm boosted ${NOT_WITH_GOAL}`],
	],
	["none, with a goal", given("{}", GOOD), []],
	["as many as there may be", given(many(PARAMETERS_MAX)), []],
];

checkRows(t, rows);

t.test("parameters keep their text and order", async (t) => {
	const value = "x".repeat(1_024);
	const text = given(`{temperature: "0.2", a: "50% of {x}, \\"y\\"", ${"b".repeat(64)}: "${value}"}`);
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	t.same(problems, []);
	const [control, boosted] = resources.experiments[0]?.spec.arms ?? [];
	t.same(control?.parameters, {});
	t.same(Object.entries(boosted?.parameters ?? {}), [
		["temperature", "0.2"],
		["a", '50% of {x}, "y"'],
		["b".repeat(64), value],
	]);
});
