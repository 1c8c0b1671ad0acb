/**
 * What may not change under a running Experiment: whatever decides who is in which arm, what the arms are, and what
 * its Metrics, denominators among them, measure. A changed hash would move people between arms, a changed Metric would
 * add observations of one thing to those of another, and the evidence so far would be about something else. Nor what
 * alpha is spent on: segments, further guardrails, a holdback where none was, the design, what the goal measures, and
 * the plan and goal of planned looks. Who may change the rest: state/rights/runningExperiment.ts. What is left of guardrails
 * shares alpha anew. And of an Experiment that has ended: its spec.
 */
import { canonicalJson } from "./canonicalJson.js";
import { metricsJudging } from "./judgedBy.js";
import { findNamed, findQualified } from "./lookup.js";
import { type Positions, resourceTitle } from "./position.js";
import { type Experiment, type Metric, type Problem, qualifiedName, type ResourceSet, unitText } from "./resource.js";

const CURE = "it needs a new Experiment under a new name; abort this one first";

const ENDED_CURE = "leave its spec as it was, or delete it; for anything else declare another one under a new name";

/**
 * Problems of replacing one declared set by another.
 * @param phases qualified names of Experiments in a phase that assigns units (Running, Paused, Promoting), and of those that
 * have ended, whose spec is what they were judged by and whose gates they leave
 * @param positions of `after`, so that problems point at the changed field
 */
export function changeProblems(
	before: ResourceSet,
	after: ResourceSet,
	{ running, ended }: { readonly running: ReadonlySet<string>; readonly ended: ReadonlySet<string> },
	positions: Positions | null = null,
): readonly Problem[] {
	const problems: Problem[] = [];
	for (const old of before.experiments) {
		const name = qualifiedName(old.metadata);
		const now = findNamed(after.experiments, old.metadata);
		const edited = now !== undefined && ended.has(name) ? editedField(old, now) : null;
		if (edited !== null) {
			const message = `${resourceTitle(old)} has ended, and ${edited.join(".")} would change`;
			problems.push({ position: positions?.at(old, edited) ?? null, message, hint: ENDED_CURE });
		}
		if (!running.has(name)) continue;
		// One that did not parse has its own problem.
		if (now === undefined && !positions?.isBroken(old)) {
			problems.push({
				position: null,
				message: `${resourceTitle(old)} is running and would be deleted`,
				hint: `abort it first: weir abort ${name}`,
			});
		}
		if (now !== undefined) {
			const fields: readonly (readonly [readonly FrozenField[], string])[] = [
				[[...frozenFields(old, now), ...added(old, now)], CURE],
				[frozenPlan(old, now), PLAN_CURE],
			];
			for (const [differ, hint] of fields)
				for (const { path, what, from, to } of differ) {
					const message = `${resourceTitle(old)} is running: ${what} would change from ${from} to ${to}`;
					problems.push({ position: positions?.at(now, path) ?? null, message, hint });
				}
		}
		problems.push(
			...seedProblems(old, before, after, positions),
			...variantProblems(old, before, after, positions),
			...metricProblems(old, before, after, positions),
		);
	}
	return problems;
}

/** The first field that differs; null = none. */
function editedField(before: Experiment, after: Experiment): readonly string[] | null {
	const [was, is] = [before.spec, after.spec];
	const field = differingField({ ...was, rollout: null }, { ...is, rollout: null });
	if (field !== undefined) return ["spec", field];
	// As they are written: stepsPpm are `steps`.
	const rule = differingField(was.rollout, is.rollout)?.replace(/(?:Ppm|Ms)$/, "");
	return rule === undefined ? null : ["spec", "rollout", rule];
}

function differingField(was: object, is: object): string | undefined {
	const now = new Map(Object.entries(is));
	return Object.entries(was).find(([field, value]) => canonicalJson(value) !== canonicalJson(now.get(field)))?.[0];
}

const PLAN_CURE = `alpha is spent on one plan that was declared before the data, and what is spent stays spent; ${CURE}`;

interface FrozenField {
	readonly path: readonly string[];
	readonly what: string;
	readonly from: string;
	readonly to: string;
}

interface Frozen {
	readonly path: readonly string[];
	readonly what: string;
	readonly of: (experiment: Experiment) => string;
}

/** Frozen fields that differ, in plain words. */
function frozenFields(before: Experiment, after: Experiment): readonly FrozenField[] {
	const fields: readonly Frozen[] = [
		{ path: ["spec", "service"], what: "service", of: ({ spec }) => spec.service },
		{ path: ["spec", "unit"], what: "unit", of: ({ spec }) => unitText(spec.unit) },
		{ path: ["spec", "layer", "name"], what: "layer", of: ({ spec }) => spec.layer.name },
		{
			path: ["spec", "layer", "slot"],
			what: "slot",
			of: ({ spec: { layer } }) => `[${layer.slotLoPpm / 10_000}%, ${layer.slotHiPpm / 10_000}%]`,
		},
		// The salt in use: to write out the default is no change.
		{ path: ["spec", "salt"], what: "salt", of: ({ spec, metadata }) => spec.salt ?? qualifiedName(metadata) },
		{ path: ["spec", "arms"], what: "arms (names, order, baseline)", of: (it) => armsText(it, "baseline") },
		{ path: ["spec", "arms"], what: "variants of arms", of: (it) => armsText(it, "variant") },
		{ path: ["spec", "arms"], what: "weights", of: (it) => armsText(it, "weight") },
		// They say which units are a bandit's core, and units that have been seen are of it or not.
		{ path: ["spec", "rollout", "bandit"], what: "core of the bandit (floor, last step)", of: coreText },
		{ path: ["spec", "arms"], what: "parameters of arms", of: (it) => armsText(it, "parameters") },
		// Each has its part of harm's alpha, spent value by value as they appear: another list would spend it again.
		{ path: ["spec", "segments"], what: "segments", of: segmentsText },
	];
	return differing(fields, before, after);
}

/**
 * What would spend harm's alpha once more. Claims share it, and each has had its part since the first unit: one that comes
 * later would have a part of its own beside these. A holdback has a quarter, which what came before it has spent already
 * where none was declared.
 */
function added({ spec: old }: Experiment, { spec: now }: Experiment): readonly FrozenField[] {
	const names = ({ guardrails }: Experiment["spec"]): string[] => [...new Set(guardrails.map(({ metric }) => metric))];
	const had = names(old);
	const fields: FrozenField[] = [];
	if (names(now).some((name) => !had.includes(name)) || now.guardrails.length > old.guardrails.length)
		fields.push({
			path: ["spec", "guardrails"],
			what: "metrics of guardrails",
			from: had.join(" ") || "none",
			to: now.guardrails.map(({ metric }) => metric).join(" "),
		});
	if (old.rollout.holdback === null && now.rollout.holdback !== null)
		fields.push({ path: ["spec", "rollout", "holdback"], what: "holdback", from: "none", to: "one" });
	return fields;
}

/**
 * What a design with planned looks fixes before the data: how often and when it looks, at which goal, with which alpha. A look
 * has its level by those before it; another plan, chosen by who has seen how it goes, would have the whole of alpha again.
 * The sequential design looks always, so that it has spent alpha from the first unit on: nobody may leave it for a plan.
 * Where its goal stands may change, for a confidence sequence holds at every line; what the goal measures may not, for each
 * metric has the whole of alpha. (Spending what is left by a new plan is valid
 * only where the plan does not follow the effect seen so far: Proschan, Follmann & Waclawiw, Biometrics 48, 1992.)
 */
function frozenPlan(before: Experiment, after: Experiment): readonly FrozenField[] {
	const inference = { path: ["spec", "rollout", "inference"], what: "inference", of: inferenceText };
	if (before.spec.rollout.inference.design === "sequential") {
		const metric = { path: ["spec", "goal"], what: "metric of the goal", of: metricOfGoal };
		return differing([inference, metric], before, after);
	}
	const planned: readonly Frozen[] = [
		inference,
		{ path: ["spec", "goal"], what: "goal of the planned looks", of: goalText },
		{ path: ["spec", "rollout", "alpha"], what: "alpha of the planned looks", of: (it) => `${it.spec.rollout.alpha}` },
	];
	return differing(planned, before, after);
}

function inferenceText({ spec: { rollout } }: Experiment): string {
	const { inference: plan } = rollout;
	if (plan.design === "sequential") return "sequential";
	if (plan.design === "fixed-horizon") return `fixed-horizon at ${plan.units} units`;
	return `group-sequential, ${plan.looks} looks up to ${plan.units} units, ${plan.spending}`;
}

const metricOfGoal = ({ spec: { goal } }: Experiment): string => goal?.metric ?? "none";

function goalText({ spec: { goal } }: Experiment): string {
	return goal === null ? "none" : `${goal.metric} by ${goal.improveBy.value} (${goal.improveBy.kind})`;
}

function differing(fields: readonly Frozen[], before: Experiment, after: Experiment): readonly FrozenField[] {
	return fields
		.map(({ path, what, of }) => ({ path, what, from: of(before), to: of(after) }))
		.filter(({ from, to }) => from !== to);
}

function coreText({ spec: { rollout } }: Experiment): string {
	if (rollout.bandit === null) return "none";
	return `${rollout.bandit.floorPpm / 10_000}% of ${(rollout.stepsPpm.at(-1) ?? 0) / 10_000}%`;
}

/** Sorted: each has the same part of alpha. */
function segmentsText({ spec }: Experiment): string {
	const each = spec.segments.map(({ name, header }) => `${name}=${header}`);
	return each.length === 0 ? "none" : each.sort().join(" ");
}

function armsText({ spec }: Experiment, field: "variant" | "weight" | "baseline" | "parameters"): string {
	return spec.arms
		.map((arm) => {
			if (field === "baseline") return `${arm.name}${arm.baseline ? "*" : ""}`;
			return `${arm.name}=${field === "parameters" ? parametersText(arm.parameters) : arm[field]}`;
		})
		.join(" ");
}

/** Sorted: parameters are headers, and the order of their lines says nothing. */
function parametersText(parameters: Readonly<Record<string, string>>): string {
	return JSON.stringify(Object.fromEntries(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function seedProblems(
	experiment: Experiment,
	before: ResourceSet,
	after: ResourceSet,
	positions: Positions | null,
): readonly Problem[] {
	const { namespace } = experiment.metadata;
	const { name } = experiment.spec.layer;
	const find = (set: ResourceSet) => findNamed(set.layers, { name, namespace }) ?? null;
	const [old, now] = [find(before)?.spec.seed ?? null, find(after)?.spec.seed ?? null];
	const layer = { kind: "Layer" as const, metadata: { name, namespace } };
	if (old === now || positions?.isBroken(layer)) return [];
	const title = resourceTitle(layer);
	const message = `seed of ${title} would change from ${old ?? "the default"} to ${now ?? "the default"}, and ${resourceTitle(experiment)} is running in it`;
	const position = positions?.at(layer, ["spec", "seed"]) ?? null;
	return [{ position, message, hint: CURE }];
}

function variantProblems(
	experiment: Experiment,
	before: ResourceSet,
	after: ResourceSet,
	positions: Positions | null,
): readonly Problem[] {
	const { namespace } = experiment.metadata;
	const find = (set: ResourceSet) => findNamed(set.services, { name: experiment.spec.service, namespace });
	const [old, now] = [find(before), find(after)];
	if (old === undefined) return [];
	const hint = "keep it until the experiment has ended, or abort the experiment first";
	if (now === undefined) {
		if (positions?.isBroken(old)) return [];
		const message = `${resourceTitle(old)} would be deleted, and ${resourceTitle(experiment)} is running on it`;
		return [{ position: null, message, hint }];
	}
	const kept = new Set(now.spec.variants.map((variant) => variant.name));
	const used = new Set(experiment.spec.arms.map((arm) => arm.variant));
	return [...used]
		.filter((variant) => !kept.has(variant) && old.spec.variants.some(({ name }) => name === variant))
		.map((variant) => ({
			position: positions?.at(now, ["spec", "variants"]) ?? null,
			message: `variant ${variant} of ${resourceTitle(old)} would be deleted, and ${resourceTitle(experiment)} is running on it`,
			hint,
		}));
}

const given = (value: unknown): string => (value === null ? "none" : JSON.stringify(value));

const METRIC_CURE = "it needs a new Metric name or a new Experiment";

/** Every field of a Metric decides what an observation is or which way it counts. */
const METRIC_FIELDS: readonly { field: string; of: (spec: Metric["spec"]) => string }[] = [
	{ field: "type", of: ({ type }) => type },
	{ field: "source", of: ({ source }) => source },
	{ field: "direction", of: ({ direction }) => direction },
	{ field: "quantile", of: ({ quantile }) => (quantile === null ? "none" : String(quantile)) },
	{ field: "window", of: ({ windowMs }) => `${windowMs}ms` },
	{ field: "missing", of: ({ missing }) => missing },
	{ field: "perUnit", of: ({ perUnit }) => perUnit },
	// With the range goes the method of a claim: a sequence that changes it midway may err as often as both together.
	{ field: "range", of: ({ range }) => given(range) },
	{ field: "denominator", of: ({ denominator }) => given(denominator) },
	{ field: "cap", of: ({ cap }) => given(cap) },
	{ field: "covariate", of: ({ covariateMs }) => (covariateMs === null ? "none" : `${covariateMs}ms`) },
];

function metricProblems(
	experiment: Experiment,
	before: ResourceSet,
	after: ResourceSet,
	positions: Positions | null,
): readonly Problem[] {
	const problems: Problem[] = [];
	for (const name of metricsJudging(experiment, before.metrics, after.metrics)) {
		const find = (set: ResourceSet) => findQualified(set.metrics, name);
		const [old, now] = [find(before), find(after)];
		if (old === undefined) continue;
		const uses = `${resourceTitle(experiment)} is running and uses it`;
		if (now === undefined) {
			// One that did not parse has its own problem.
			if (positions?.isBroken(old)) continue;
			const hint = `keep it until the experiment has ended, or abort it first: weir abort ${qualifiedName(experiment.metadata)}`;
			problems.push({ position: null, message: `${resourceTitle(old)} would be deleted, and ${uses}`, hint });
			continue;
		}
		for (const { field, of } of METRIC_FIELDS) {
			const [from, to] = [of(old.spec), of(now.spec)];
			if (from === to) continue;
			const message = `${field} of ${resourceTitle(old)} would change from ${from} to ${to}, and ${uses}`;
			problems.push({ position: positions?.at(now, ["spec", field]) ?? null, message, hint: METRIC_CURE });
		}
	}
	return problems;
}
