/**
 * Fields that are frozen while an Experiment runs. These are the assignment, the arms, and its Metrics with their
 * denominators: a change would move units between arms or mix different observations. So are fields that would spend
 * alpha again: segments, further guardrails, a new holdback, the design, the goal's metric, and the plan and goal of
 * planned looks. The remaining guardrails share alpha anew. The spec of an ended Experiment is frozen too. Permissions
 * for other changes: state/rights/runningExperiment.ts.
 */
import { canonicalJson } from "./canonicalJson.js";
import { metricsJudging } from "./experimentMetrics.js";
import { findNamed, findQualified } from "./lookup.js";
import { type Positions, resourceTitle } from "./position.js";
import { type Experiment, type Metric, type Problem, qualifiedName, type ResourceSet, unitText } from "./resource.js";

const CURE = "it needs a new Experiment under a new name; abort this one first";

const ENDED_CURE = "leave its spec as it was, or delete it; for anything else declare another one under a new name";

/**
 * Problems of replacing one declared set by another.
 * @param phases qualified names of Experiments in a phase that assigns units (Running, Paused, Promoting), and of ended
 * ones
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
	// In YAML, stepsPpm is `steps`.
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

/** Frozen fields that differ, as the messages name them. */
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
		// Writing out the default salt is no change.
		{ path: ["spec", "salt"], what: "salt", of: ({ spec, metadata }) => spec.salt ?? qualifiedName(metadata) },
		{ path: ["spec", "arms"], what: "arms (names, order, baseline)", of: (it) => armsText(it, "baseline") },
		{ path: ["spec", "arms"], what: "variants of arms", of: (it) => armsText(it, "variant") },
		{ path: ["spec", "arms"], what: "weights", of: (it) => armsText(it, "weight") },
		// They define a bandit's core, and observed units must not enter or leave it.
		{ path: ["spec", "rollout", "bandit"], what: "core of the bandit (floor, last step)", of: coreText },
		{ path: ["spec", "arms"], what: "parameters of arms", of: (it) => armsText(it, "parameters") },
		// Each segment has a part of the alpha of harm; another list would spend it again.
		{ path: ["spec", "segments"], what: "segments", of: segmentsText },
	];
	return differing(fields, before, after);
}

/**
 * Changes that would spend the alpha of harm again. Claims have shared it since the first unit, so a later claim has
 * none left. A holdback uses a quarter, which is already spent if none was declared.
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
 * Planned looks are fixed before the data: number, times, goal and alpha. A later plan could spend alpha again.
 * (Spending what is left by a new plan is valid only where the plan does not follow the effect seen so far: Proschan,
 * Follmann & Waclawiw, Biometrics 48, 1992.) The sequential design spends alpha from the first unit on, so it cannot
 * change to a plan. Its goal's threshold may change, because a confidence sequence holds at every threshold; its metric
 * may not.
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

/** Sorted: parameters are headers, whose order has no meaning. */
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

/** Every field of a Metric defines an observation or its direction. */
const METRIC_FIELDS: readonly { field: string; of: (spec: Metric["spec"]) => string }[] = [
	{ field: "type", of: ({ type }) => type },
	{ field: "source", of: ({ source }) => source },
	{ field: "direction", of: ({ direction }) => direction },
	{ field: "quantile", of: ({ quantile }) => (quantile === null ? "none" : String(quantile)) },
	{ field: "window", of: ({ windowMs }) => `${windowMs}ms` },
	{ field: "missing", of: ({ missing }) => missing },
	{ field: "perUnit", of: ({ perUnit }) => perUnit },
	// The range selects the test's method: changing it in between may double the error.
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
