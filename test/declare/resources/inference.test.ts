/** How metrics are measured and goals are tested, as declared: what is filled in, and what is said about faults. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { checkRows } from "./faultTable.js";

const metric = (spec: string, name = "revenue"): string =>
	`apiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;

const IMPRESSIONS = metric("{type: mean, perUnit: sum}", "impressions");

t.test("what a unit's value is, complete", async (t) => {
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
	[
		"a ratio of what",
		metric("{type: ratio}"),
		["w.yaml:4:7: spec.denominator is missing for type ratio; add denominator: requests, or the name of a Metric"],
	],
	[
		"a mean with a denominator",
		metric("{type: mean, denominator: requests}"),
		["w.yaml:4:33: spec.denominator is given for type mean; remove it, or write type: ratio"],
	],
	[
		"an unknown denominator",
		metric("{type: ratio, denominator: views}"),
		['w.yaml:4:34: unknown Metric "views"; known Metrics: revenue'],
	],
	[
		"a denominator in another time",
		IMPRESSIONS + metric("{type: ratio, denominator: impressions, window: 2h}"),
		["w.yaml:9:34: denominator impressions has another window; give both Metrics one window"],
	],
	[
		"a range of a rate",
		metric("{type: rate, range: [0, 1]}"),
		["w.yaml:4:27: spec.range is given for type rate; remove it; a rate has [0, 1] by itself"],
	],
	[
		"an empty range",
		metric("{type: mean, range: [5, 5]}"),
		["w.yaml:4:27: spec.range is empty; write two numbers, the lower first, such as [0, 5]"],
	],
	[
		"a range beyond what is taken",
		metric("{type: mean, range: [0, 2000000000000000000000000000000]}"),
		["w.yaml:4:27: spec.range reaches beyond 1e+30, the largest accepted value; write smaller bounds"],
	],
	[
		"a cap beyond what is taken",
		metric("{type: mean, cap: {value: 2000000000000000000000000000000}}"),
		["w.yaml:4:25: spec.cap lies beyond 1e+30, the largest accepted value; write a smaller one, or remove it"],
	],
	[
		"a rate of sums",
		metric("{type: rate, perUnit: sum}"),
		["w.yaml:4:29: spec.perUnit is sum for type rate; remove it, or write type: mean: a sum of shares is no share"],
	],
	[
		"a range of sums",
		metric("{type: mean, perUnit: sum, range: [0, 5]}"),
		["w.yaml:4:41: spec.range is given with perUnit: sum; remove one: a sum of bounded values is not bounded by them"],
	],
	[
		"a cap of both kinds",
		metric("{type: mean, cap: {value: 5, percentile: 99%}}"),
		["w.yaml:4:25: spec.cap is a mapping; write {value: 500} or {percentile: 99.9%}"],
	],
	[
		"a low percentile",
		metric("{type: mean, cap: {percentile: 20%}}"),
		["w.yaml:4:25: spec.cap is a mapping; write a percentile above 50% and below 100%, such as 99.9%"],
	],
	[
		"a covariate of a rate",
		metric("{type: rate, covariate: {lookback: 7d}}"),
		[
			"w.yaml:4:31: spec.covariate is given for a bounded metric; remove it, or write type: mean without range: exact tests of bounded values take no covariate",
		],
	],
	[
		"a sum of errors",
		metric("{type: rate, source: errors, perUnit: sum}"),
		["w.yaml:4:45: spec.perUnit is given for source errors; remove it: it is for what is posted as outcomes"],
	],
]);
