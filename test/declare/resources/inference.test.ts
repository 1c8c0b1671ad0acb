/** Declared measurement of metrics and tests of goals: defaults and faults. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { checkRows } from "./faultTable.js";

const metric = (spec: string, name = "revenue"): string =>
	`apiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;

const IMPRESSIONS = metric("{type: mean, perUnit: sum}", "impressions");

t.test("a Metric's value of a unit is parsed with all defaults", async (t) => {
	const { resources, problems } = loadResources([
		{
			name: "w.yaml",
			text: [
				IMPRESSIONS,
				metric("{type: ratio, denominator: impressions, covariate: {lookback: 7d}}", "clicks"),
				metric("{type: ratio, denominator: requests}", "tokens"),
				metric("{type: mean, range: [1, 5]}", "stars"),
				metric("{type: mean, perUnit: sum, cap: {percentile: 99.9%}}"),
				metric("{type: mean, cap: {value: 500}}", "spend"),
			].join(""),
		},
	]);
	t.same(problems, []);
	const [impressions, clicks, tokens, stars, revenue, spend] = resources.metrics.map(({ spec }) => spec);
	t.match(impressions, { perUnit: "sum", range: null, denominator: null, cap: null, covariateMs: null });
	t.match(clicks, { perUnit: "sum", denominator: { metric: "impressions" }, covariateMs: 604_800_000 });
	t.match(tokens, { perUnit: "sum", denominator: "requests" });
	t.match(stars, { perUnit: "mean", range: { lo: 1, hi: 5 } });
	t.match(revenue, { perUnit: "sum", cap: { quantile: 0.999 } });
	t.match(spend, { cap: { value: 500 } });
});

checkRows(t, [
	["a ratio of what", metric("{type: ratio}"), ["w.yaml:4:7: spec.denominator is missing for type ratio"]],
	[
		"a mean with a denominator",
		metric("{type: mean, denominator: requests}"),
		["w.yaml:4:33: spec.denominator is given for type mean"],
	],
	["an unknown denominator", metric("{type: ratio, denominator: views}"), ['w.yaml:4:34: unknown Metric "views"']],
	[
		"a denominator in another time",
		IMPRESSIONS + metric("{type: ratio, denominator: impressions, window: 2h}"),
		["w.yaml:9:34: denominator impressions has another window"],
	],
	["a range of a rate", metric("{type: rate, range: [0, 1]}"), ["w.yaml:4:27: spec.range is given for type rate"]],
	["an empty range", metric("{type: mean, range: [5, 5]}"), ["w.yaml:4:27: spec.range is empty"]],
	[
		"a range beyond what is taken",
		metric("{type: mean, range: [0, 2000000000000000000000000000000]}"),
		["w.yaml:4:27: spec.range reaches beyond 1e+30, the largest accepted value"],
	],
	[
		"a cap beyond what is taken",
		metric("{type: mean, cap: {value: 2000000000000000000000000000000}}"),
		["w.yaml:4:25: spec.cap lies beyond 1e+30, the largest accepted value"],
	],
	["a rate of sums", metric("{type: rate, perUnit: sum}"), ["w.yaml:4:29: spec.perUnit is sum for type rate"]],
	[
		"a range of sums",
		metric("{type: mean, perUnit: sum, range: [0, 5]}"),
		["w.yaml:4:41: spec.range is given with perUnit: sum"],
	],
	[
		"a cap of both kinds",
		metric("{type: mean, cap: {value: 5, percentile: 99%}}"),
		["w.yaml:4:25: spec.cap is a mapping"],
	],
	["a low percentile", metric("{type: mean, cap: {percentile: 20%}}"), ["w.yaml:4:25: spec.cap is a mapping"]],
	[
		"a covariate of a rate",
		metric("{type: rate, covariate: {lookback: 7d}}"),
		["w.yaml:4:31: spec.covariate is given for a bounded metric"],
	],
	[
		"a sum of errors",
		metric("{type: rate, source: errors, perUnit: sum}"),
		["w.yaml:4:45: spec.perUnit is given for source errors"],
	],
]);
