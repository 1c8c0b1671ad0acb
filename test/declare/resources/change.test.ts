import t from "tap";
import { changeProblems } from "../../../src/declare/resources/change.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { GOOD, spoil } from "./declaration.js";

const load = (text: string) => loadResources([{ name: "w.yaml", text }]);
const NAME = "boosted-vs-logistic";
const RUNNING = new Set([NAME]);
const NONE: ReadonlySet<string> = new Set();
const LAYER = '---\napiVersion: weir.dev/v1alpha1\nkind: Layer\nmetadata: {name: models}\nspec: {seed: "7"}\n';

function problems(after: string, running: ReadonlySet<string> = RUNNING): readonly string[] {
	const parsed = load(after);
	return changeProblems(load(GOOD).resources, parsed.resources, { running, ended: NONE }, parsed.positions).map(
		formatProblem,
	);
}

const edits: readonly [what: string, after: string, expected: RegExp][] = [
	[
		"slot",
		spoil("[0%, 100%]", "[0%, 50%]"),
		/^w\.yaml:47:\d+: .* slot would change from \[0%, 100%\] to \[0%, 50%\]; it needs a new Experiment/,
	],
	["layer", spoil("{name: models", "{name: prices"), /^w\.yaml:47:\d+: .* layer would change from models to prices/],
	["seed", GOOD + LAYER, /^w\.yaml:\d+:\d+: seed of Layer models would change from the default to 7/],
	[
		"salt",
		spoil("  unit:", "  salt: other\n  unit:"),
		/^w\.yaml:46:\d+: .* salt would change from boosted-vs-logistic to other/,
	],
	[
		"weights",
		spoil("weight: 1}", "weight: 2}"),
		/^w\.yaml:\d+:\d+: .* weights would change from control=1 boosted=1 to control=1 boosted=2/,
	],
	["arm names", spoil("name: boosted,", "name: better,"), /arms \(names, order, baseline\) would change/],
	["variants of arms", spoil("variant: v2, weight", "variant: v1, weight"), /variants of arms would change/],
	[
		"unit",
		spoil("x-user-id", "x-tenant"),
		/^w\.yaml:46:9: .* unit would change from header x-user-id to header x-tenant/,
	],
	[
		"source of the unit",
		spoil("{header: x-user-id}", "{cookie: {name: x-user-id}}"),
		/^w\.yaml:46:9: .* unit would change from header x-user-id to cookie x-user-id/,
	],
	[
		"parameters of arms",
		spoil("weight: 1}", 'weight: 1, parameters: {b: "2", a: "1"}}'),
		/^w\.yaml:49:5: .* parameters of arms would change from control=\{\} boosted=\{\} to control=\{\} boosted=\{"a":"1","b":"2"\}/,
	],
	[
		"a bandit that was not there",
		spoil("    every: 10s\n", "    every: 10s\n    bandit: {algorithm: thompson}\n"),
		/core of the bandit \(floor, last step\) would change from none to 5% of 100%/,
	],
	[
		"segments",
		spoil("  rollout:\n", "  segments: [{name: plan, header: x-plan}]\n  rollout:\n"),
		/^w\.yaml:\d+:\d+: .* segments would change from none to plan=x-plan; it needs a new Experiment/,
	],
	[
		"a holdback that was not there",
		spoil("    every: 10s\n", "    every: 10s\n    holdback: {share: 5%, for: 30d}\n"),
		/^w\.yaml:\d+:\d+: .* holdback would change from none to one; it needs a new Experiment/,
	],
	[
		"a further guardrail",
		spoil("  rollout:\n", "    - {metric: accuracy, margin: {absolute: 1pp}}\n  rollout:\n"),
		/^w\.yaml:\d+:\d+: .* metrics of guardrails would change from latency-p99 error-rate to latency-p99 error-rate accuracy; it needs/,
	],
	[
		"another guardrail",
		spoil("- {metric: error-rate,", "- {metric: accuracy,"),
		/metrics of guardrails would change from latency-p99 error-rate to latency-p99 accuracy/,
	],
	["service", spoil("service: employment", "service: other"), /service would change from employment to other/],
	[
		"deleted experiment",
		GOOD.slice(0, GOOD.lastIndexOf("---")),
		/^Experiment boosted-vs-logistic is running and would be deleted; abort it first/,
	],
	[
		"deleted variant",
		spoil("    - name: v2\n      endpoints: [{address: localhost, port: 9002}]\n", ""),
		/^w\.yaml:\d+:\d+: variant v2 of Service employment would be deleted, and Experiment boosted-vs-logistic is running on it/,
	],
	[
		"metric's type",
		spoil("  type: mean\n", "  type: rate\n"),
		/^w\.yaml:\d+:\d+: type of Metric accuracy would change from mean to rate, and Experiment boosted-vs-logistic is running and uses it; it needs a new Metric name or a new Experiment/,
	],
	["metric's source", spoil("  source: errors\n", "  source: outcome\n"), /source of Metric error-rate would change/],
	[
		"metric's direction",
		spoil("  type: mean\n", "  type: mean\n  direction: down\n"),
		/^w\.yaml:25:\d+: direction of Metric accuracy would change from up to down/,
	],
	[
		"metric's quantile",
		spoil("quantile: 0.99", "quantile: 0.9"),
		/quantile of Metric latency-p99 would change from 0\.99/,
	],
	[
		"metric's window",
		spoil("  type: mean\n", "  type: mean\n  window: 3s\n"),
		/window of Metric accuracy would change from \d+ms to 3000ms/,
	],
	[
		"metric's missing",
		spoil("  type: mean\n", "  type: mean\n  missing: zero\n"),
		/missing of Metric accuracy would change from exclude to zero/,
	],
	...(
		[
			["range: [0, 1]", /range of Metric accuracy would change from none to \{"lo":0,"hi":1\}/],
			["perUnit: sum", /perUnit of Metric accuracy would change from mean to sum/],
			["cap: {value: 5}", /cap of Metric accuracy would change from none to \{"value":5\}/],
			["covariate: {lookback: 7d}", /covariate of Metric accuracy would change from none to 604800000ms/],
		] as const
	).map(([line, message]): [string, string, RegExp] => [
		`metric's ${line}`,
		spoil("  type: mean\n", `  type: mean\n  ${line}\n`),
		message,
	]),
	[
		"deleted metric",
		spoil("metadata: {name: accuracy}", "metadata: {name: accuracy-2}"),
		/^Metric accuracy would be deleted, and Experiment boosted-vs-logistic is running and uses it; keep it/,
	],
	["deleted service", GOOD.slice(GOOD.indexOf("---")), /^Service employment would be deleted/],
];

for (const [what, after, expected] of edits) {
	t.test(`under a running Experiment: ${what} is refused`, async (t) => {
		const found = problems(after);
		t.ok(
			found.some((line) => expected.test(line)),
			found.join("\n"),
		);
		t.same(problems(after, new Set()), [], "and allowed when it does not run");
	});
}

t.test("a holdback may become longer or larger, or go", async (t) => {
	const held = (of: string) => spoil("    every: 10s\n", `    every: 10s\n    holdback: ${of}\n`);
	const set = load(held("{share: 5%, for: 30d}")).resources;
	for (const of of ["{share: 6%, for: 40d}", "{share: 1%, for: 1d}", "null"])
		t.same(changeProblems(set, load(held(of)).resources, { running: RUNNING, ended: NONE }), [], of);
});

t.test(
	"fields that do not affect arms may change: steps, alpha, goal, endpoints, labels, an explicit default salt",
	async (t) => {
		t.same(problems(GOOD), []);
		t.same(problems(spoil("steps: [2%, 10%", "steps: [3%, 10%")), []);
		t.same(problems(spoil("alpha: 0.05", "alpha: 0.01")), []);
		t.same(problems(spoil("port: 9002", "port: 9003")), []);
		t.same(problems(spoil("    - {metric: error-rate, margin: {absolute: 0.5pp}}\n", "")), [], "a guardrail goes");
		t.same(problems(spoil("margin: {absolute: 0.5pp}", "margin: {absolute: 0.4pp}")), [], "a guardrail's margin");
		t.same(problems(spoil("  unit:", `  salt: ${NAME}\n  unit:`)), []);
	},
);

t.test("a Metric that no running Experiment uses may change, and a default may be written out", async (t) => {
	const unused = "---\napiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: spare}\nspec: {type: mean}\n";
	const change = (after: string) =>
		changeProblems(load(GOOD + unused).resources, load(after).resources, { running: RUNNING, ended: NONE }).map(
			formatProblem,
		);
	t.same(change(GOOD + unused.replace("type: mean", "type: mean, direction: down")), []);
	t.same(change(GOOD), []);
	t.same(problems(spoil("source: errors", "source: erors")), [], "one that did not parse is no deletion");
	t.same(problems(spoil("weight: 1}", "weigth: 1}")), [], "an Experiment neither");
	t.same(problems(spoil("defaultVariant: v1", "defaultVarient: v1")), [], "nor a Service");
	const parsed = load(GOOD + LAYER.replace("seed:", "sed:"));
	const before = load(GOOD + LAYER).resources;
	t.same(
		changeProblems(before, parsed.resources, { running: RUNNING, ended: NONE }, parsed.positions),
		[],
		"nor a Layer",
	);
	t.same(problems(spoil("  type: mean\n", "  type: mean\n  direction: up\n")), []);
});

t.test("a denominator is as fixed as its ratio", async (t) => {
	const volume = "---\napiVersion: weir.dev/v1alpha1\nkind: Metric\nmetadata: {name: volume}\nspec: {type: mean}\n";
	const spare = volume.replace("name: volume", "name: spare");
	const ratio = `${spoil("  type: mean\n", "  type: ratio\n  denominator: volume\n")}${spare}`;
	const change = (after: string) =>
		changeProblems(load(ratio + volume).resources, load(after).resources, { running: RUNNING, ended: NONE }).map(
			formatProblem,
		);
	const uses = "and Experiment boosted-vs-logistic is running and uses it";
	for (const [field, from, to] of [
		["range: [0, 5]", "range", 'from none to {"lo":0,"hi":5}'],
		["window: 2s", "window", "from 3600000ms to 2000ms"],
		["perUnit: sum", "perUnit", "from mean to sum"],
	] as const)
		t.match(change(ratio + volume.replace("mean}", `mean, ${field}}`)), [
			`${from} of Metric volume would change ${to}, ${uses}; it needs a new Metric name or a new Experiment`,
		]);
	t.match(change(ratio), [`Metric volume would be deleted, ${uses}`]);
	t.same(change(ratio.replace(spare, spare.replace("mean}", "mean, direction: down}")) + volume), [], "others may");
	t.same(change(ratio + volume), []);
});

t.test("the order of arms is fixed, as it decides the arm of a unit", async (t) => {
	const first = "    - {name: control, variant: v1, weight: 1, baseline: true}\n";
	const second = "    - {name: boosted, variant: v2, weight: 1}\n";
	t.match(problems(spoil(first + second, second + first))[0], /arms \(names, order, baseline\) would change/);
});

t.test("a segment's name and header are fixed, the order of segments is not", async (t) => {
	const change = (before: string, after: string) => {
		const declared = (segments: string) => spoil("  rollout:\n", `  segments: [${segments}]\n  rollout:\n`);
		return changeProblems(load(declared(before)).resources, load(declared(after)).resources, {
			running: RUNNING,
			ended: NONE,
		}).map(formatProblem);
	};
	const [plan, country] = ["{name: plan, header: x-plan}", "{name: country, header: x-country}"];
	t.same(change(`${plan}, ${country}`, `${country}, ${plan}`), []);
	t.match(change(plan, "{name: tariff, header: x-plan}"), [/segments would change from plan=x-plan to tariff=x-plan/]);
	t.match(change(plan, "{name: plan, header: x-tariff}"), [/segments would change/]);
	t.match(change(plan, `${plan}, ${country}`), [/from plan=x-plan to country=x-country plan=x-plan/]);
});

t.test("a plan and goal with spent alpha are fixed", async (t) => {
	const plan = (inference: string, edit = (text: string) => text) =>
		load(edit(spoil("    every: 10s\n", `    every: 10s\n    inference: ${inference}\n`)));
	const FIXED = "{design: fixed-horizon, units: 4000}";
	const GROUPS = "{design: group-sequential, units: 4000, looks: 4}";
	const SEQUENTIAL = "{design: sequential}";
	const change = (before: string, after: string, edit?: (text: string) => string, running = RUNNING) => {
		const { resources, positions, problems: wrong } = plan(after, edit);
		t.same(wrong.map(formatProblem), []);
		return changeProblems(plan(before).resources, resources, { running, ended: NONE }, positions).map(formatProblem);
	};
	t.match(change(FIXED, FIXED.replace("4000", "8000")), [
		/^w\.yaml:\d+:\d+: .* is running: inference would change from fixed-horizon at 4000 units to fixed-horizon at 8000 units; alpha is spent on one plan .* what is spent stays spent; it needs a new Experiment/,
	]);
	t.same(change(FIXED, FIXED.replace("4000", "8000"), undefined, new Set()), []);
	const edits: readonly [string, string, RegExp][] = [
		[FIXED, GROUPS, /to group-sequential, 4 looks up to 4000 units, obrien-fleming;/],
		[GROUPS, GROUPS.replace("looks: 4", "looks: 5"), /4 looks up to 4000 units, .* to group-sequential, 5 looks/],
		[GROUPS, GROUPS.replace("}", ", spending: pocock}"), /obrien-fleming to .* pocock;/],
		[FIXED, SEQUENTIAL, /from fixed-horizon at 4000 units to sequential/],
		[SEQUENTIAL, FIXED, /from sequential to fixed-horizon/],
	];
	for (const [before, after, words] of edits) t.match(change(before, after), [words], `${before} to ${after}`);
	const higher = (text: string) => text.replace("absolute: 0.5pp}}\n  guardrails", "absolute: 1pp}}\n  guardrails");
	const looser = (text: string) => text.replace("alpha: 0.05", "alpha: 0.04");
	const margin = (text: string) => text.replace("relative: 100%", "relative: 50%");
	const goal =
		/goal of the planned looks would change from accuracy by 0\.005 \(absolute\) to accuracy by 0\.01 \(absolute\); alpha is/;
	t.match(change(FIXED, FIXED, higher), [goal]);
	t.match(change(FIXED, FIXED, looser), [/alpha of the planned looks would change from 0\.05 to 0\.04; alpha is/]);
	t.same(change(FIXED, FIXED, margin), []);
	t.same(
		change(SEQUENTIAL, SEQUENTIAL, (text) => looser(higher(text))),
		[],
		"a sequence holds at every line",
	);
	const another = (text: string) =>
		text.replace("goal: {metric: accuracy", "goal: {metric: clicks").replace("{name: accuracy}", "{name: clicks}");
	t.match(change(SEQUENTIAL, SEQUENTIAL, another), [
		/metric of the goal would change from accuracy to clicks; alpha is spent/,
		/Metric accuracy would be deleted/,
	]);
	const none = (text: string) => text.replace(/ {2}goal: .*\n/, "");
	t.match(change(SEQUENTIAL, SEQUENTIAL, none), [/metric of the goal would change from accuracy to none/]);
});

t.test("the order of an arm's parameters and a cookie's lifetime may change", async (t) => {
	const change = (before: string, after: string) =>
		changeProblems(load(before).resources, load(after).resources, { running: RUNNING, ended: NONE }).map(formatProblem);
	const noGoal = spoil("  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}\n", "");
	const given = (parameters: string) => spoil("weight: 1}", `weight: 1, parameters: ${parameters}}`, noGoal);
	t.same(change(given('{a: "1", b: "2"}'), given('{b: "2", a: "1"}')), []);
	t.match(change(given('{a: "1", b: "2"}'), given('{a: "1", b: "3"}')), [/parameters of arms would change/]);
	const kept = (age: string) => spoil("{header: x-user-id}", `{cookie: {name: weir_id, maxAge: ${age}}}`);
	t.same(load(kept("1d")).problems, []);
	t.same(change(kept("1d"), kept("2d")), []);
});

t.test("an ended Experiment may change only its labels", async (t) => {
	const ended = { running: NONE, ended: new Set([NAME]) };
	const change = (after: string) => {
		const { resources, positions } = load(after);
		return changeProblems(load(GOOD).resources, resources, ended, positions).map(formatProblem);
	};
	t.same(change(GOOD), []);
	t.same(change(spoil(`name: ${NAME}`, `name: ${NAME}, labels: {team: a}`)), []);
	t.same(change(""), [], "it may be deleted");
	for (const [from, to, field] of [
		["weight: 1}", "weight: 2}", "spec.arms"],
		["alpha: 0.05", "alpha: 0.04", "spec.rollout.alpha"],
		["minUnits: 500", "minUnits: 400", "spec.rollout.minUnits"],
		["service: employment", "service: other", "spec.service"],
	] as const)
		t.match(
			change(spoil(from, to)),
			[
				new RegExp(
					`^w.yaml:\\d+:\\d+: Experiment ${NAME} has ended, and ${field} would change; leave its spec as it was, or delete it`,
				),
			],
			field,
		);
});
