/** Claims that no data could break or reach are refused. */
import t from "tap";
import { spoil } from "./declaration.js";
import { problemsOf, shortProblemsOf } from "./faultTable.js";

const FALLS = "no arm is worse by more than 100%; write less than 100%";

/** The metric of the goal, and the one guardrail on it. */
const withMargin = (spec: string, margin: string): string =>
	spoil(
		"metadata: {name: accuracy}\nspec:\n  type: mean\n",
		`metadata: {name: accuracy}\nspec: ${spec}\n`,
		spoil(
			"{metric: error-rate, margin: {absolute: 0.5pp}}",
			`{metric: accuracy, margin: ${margin}}`,
			spoil("improveBy: {absolute: 0.5pp}", "improveBy: {relative: 1%}"),
		),
	);
const withGoal = (spec: string, improveBy: string): string =>
	spoil(
		"metadata: {name: accuracy}\nspec:\n  type: mean\n",
		`metadata: {name: accuracy}\nspec: ${spec}\n`,
		spoil("improveBy: {absolute: 0.5pp}", `improveBy: ${improveBy}`),
	);

const never: readonly (readonly [text: string, words: string])[] = [
	[withMargin("{type: rate}", "{relative: 100%}"), `margin of accuracy can never be broken: ${FALLS}`],
	[
		withMargin("{type: rate}", "{absolute: 1}"),
		"margin of accuracy can never be broken: no arm is worse by more than 1;",
	],
	[withMargin("{type: mean, range: [0, 5]}", "{relative: 250%}"), FALLS],
	[withMargin("{type: mean, range: [1, 5]}", "{relative: 80%}"), "no arm is worse by more than 80%"],
	[withMargin("{type: mean, range: [1, 5], direction: down}", "{relative: 400%}"), "no arm is worse by more than 400%"],
	[withMargin("{type: mean, range: [-5, 5]}", "{absolute: 10}"), "no arm is worse by more than 10"],
	[withMargin("{type: mean, source: latency, direction: up}", "{relative: 100%}"), FALLS],
	[
		withGoal("{type: rate, direction: down}", "{relative: 100%}"),
		"improveBy of accuracy can never be reached: no arm is better by more than 100%; write less than 100%",
	],
	[withGoal("{type: rate}", "{absolute: 100pp}"), "improveBy of accuracy can never be reached"],
];

t.test("a claim outside of the metric's range is refused", async (t) => {
	for (const [text, words] of never) {
		const problems = problemsOf(text);
		t.equal(problems.length, 1, words);
		t.ok(problems[0]?.includes(words), words);
	}
});

t.test("a claim inside of the metric's range is accepted", async (t) => {
	for (const text of [
		withMargin("{type: mean}", "{relative: 100%}"),
		withMargin("{type: mean}", "{absolute: 1000}"),
		withMargin("{type: rate}", "{relative: 99%}"),
		withMargin("{type: rate, direction: down}", "{relative: 900%}"),
		withMargin("{type: mean, range: [-5, 5]}", "{relative: 300%}"),
		withMargin("{type: mean, range: [-5, 0]}", "{relative: 100%}"),
		withMargin("{type: mean, range: [1, 5], missing: zero}", "{relative: 80%}"),
		withMargin("{type: mean, range: [0, 5], direction: down}", "{relative: 1000%}"),
		withMargin("{type: mean, source: latency}", "{relative: 300%}"),
		withMargin("{type: ratio, denominator: requests}", "{relative: 100%}"),
		withGoal("{type: rate}", "{relative: 100%}"),
		withGoal("{type: rate}", "{absolute: 0}"),
		withGoal("{type: mean, source: latency, direction: up}", "{relative: 250%}"),
	])
		t.same(shortProblemsOf(text), []);
});
