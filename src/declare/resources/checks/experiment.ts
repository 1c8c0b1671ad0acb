/** Checks one Experiment against its Service and Metrics. */
import { accessTable, judgesUsers } from "../../../compile/access/rules/policy.js";
import { armRegions, sharePoints } from "../../../compile/assignment/region.js";
import { PPM, SEGMENT_VALUES_MAX } from "../../../limits/index.js";
import { USUAL_UNIT_HEADER } from "../experimentTypes.js";
import { findNamed, serviceOf } from "../lookup.js";
import { memoize } from "../memoize.js";
import { type Path, resourceTitle } from "../position.js";
import type { Effect, Experiment, Metric } from "../resource.js";
import { knownNamed, knownNames } from "../suggest.js";
import { largestChange } from "./metricBounds.js";
import type { Check } from "./report.js";

/**
 * Tests of harm in segments at one look: challengers × claims × values of all segments (and `other`). They take about
 * 0.1 s of the event loop that all Experiments share.
 */
const SEGMENT_TESTS_MAX = 10_000;

export function experimentProblems(check: Check): void {
	for (const experiment of check.set.experiments) {
		variantProblems(check, experiment);
		liveProblems(check, experiment);
		baselineProblems(check, experiment);
		metricProblems(check, experiment);
		unitProblems(check, experiment);
		parameterProblems(check, experiment);
		segmentProblems(check, experiment);
		workProblems(check, experiment);
	}
}

const unitHeaders = memoize((experiments: readonly Experiment[]) => {
	const declared = experiments.flatMap(({ spec: { unit } }) => (unit.from === "header" ? [unit.header] : []));
	return new Set([USUAL_UNIT_HEADER, ...declared]);
});

/** Segment values are stored in clear text and units as pseudonyms, so no header may be both in any Experiment. */
function segmentProblems({ set, report }: Check, experiment: Experiment): void {
	const units = unitHeaders(set.experiments);
	for (const [index, { name, header }] of experiment.spec.segments.entries()) {
		if (!units.has(header)) continue;
		const message = `segment ${name} is of header ${header}, which carries units`;
		const hint = "name a header that many units share, such as x-country";
		report(experiment, ["spec", "segments", index, "header"], message, hint);
	}
}

/** Each look tests every claim of every challenger in every value of every segment. */
function workProblems({ report }: Check, experiment: Experiment): void {
	const { arms, guardrails, goal, segments } = experiment.spec;
	const claims = guardrails.length + (goal === null ? 0 : 1);
	const values = segments.length * (SEGMENT_VALUES_MAX + 1);
	const tests = (arms.length - 1) * claims * values;
	if (tests <= SEGMENT_TESTS_MAX) return;
	const message = `segments make ${tests} tests of harm at every look (${arms.length - 1} challengers × ${claims} claims × ${values} values), more than ${SEGMENT_TESTS_MAX}`;
	report(experiment, ["spec", "segments"], message, "declare fewer segments, guardrails or arms");
}

function variantProblems({ set, positions, report }: Check, experiment: Experiment): void {
	const { namespace } = experiment.metadata;
	const { service: name, arms } = experiment.spec;
	const service = findNamed(set.services, { name, namespace });
	if (service === undefined) {
		if (positions.isBroken({ kind: "Service", metadata: { name, namespace } })) return;
		const message = `unknown Service ${JSON.stringify(name)}`;
		report(experiment, ["spec", "service"], message, () => knownNamed({ name, namespace }, set.services, "Services"));
		return;
	}
	const variants = service.spec.variants.map((variant) => variant.name);
	const { defaultVariant } = service.spec;
	for (const [index, arm] of arms.entries()) {
		const path = ["spec", "arms", index, "variant"];
		if (!variants.includes(arm.variant)) {
			const message = `unknown variant ${JSON.stringify(arm.variant)} of ${resourceTitle(service)}`;
			report(experiment, path, message, () => knownNames(arm.variant, variants, "variants"));
		} else if (arm.baseline && arm.variant !== defaultVariant && variants.includes(defaultVariant)) {
			const message = `baseline arm ${arm.name} is on variant ${arm.variant}, not on the default variant ${defaultVariant} of ${resourceTitle(service)}`;
			report(experiment, path, message, `write variant: ${defaultVariant}, or change the Service's defaultVariant`);
		}
	}
}

/**
 * A claim is a unit only where a Gateway verifies the token; every Gateway reaches every Service. Proofs of possession
 * are checked only if users are part of access rules; otherwise tokens that need one give no unit.
 */
function unitProblems({ set, positions, report }: Check, experiment: Experiment): void {
	const { unit, service: name } = experiment.spec;
	if (unit.from !== "claim" || positions.hasBroken("Gateway")) return;
	const { namespace } = experiment.metadata;
	const service = findNamed(set.services, { name, namespace });
	const unjudged =
		service !== undefined &&
		!positions.hasBroken("AccessPolicy") &&
		!judgesUsers(accessTable(service, set.accessPolicies, set.referenceGrants));
	for (const gateway of set.gateways) {
		const { spec } = gateway;
		const path = ["spec", "unit", "claim"];
		if (spec.tokens.length === 0) {
			const message = `claim ${unit.claim} is the unit, but ${resourceTitle(gateway)} verifies no tokens`;
			report(experiment, path, message, "add spec.tokens to the Gateway");
		} else if (unjudged && spec.tokens.every(({ binding }) => binding !== "none")) {
			const message = `claim ${unit.claim} is the unit, but all tokens at ${resourceTitle(gateway)} need a proof of possession, which is not checked: no enforced AccessPolicy of Service ${serviceOf(experiment)} is about users`;
			const hint = "name users, groups, tenants, purposes or claims in one, or add an issuer with binding: none";
			report(experiment, path, message, hint);
		}
	}
}

/** A promotion makes the arm's Variant the Service's default, without its parameters. */
function parameterProblems({ report }: Check, experiment: Experiment): void {
	if (experiment.spec.goal === null) return;
	for (const [index, { name, parameters }] of experiment.spec.arms.entries()) {
		if (Object.keys(parameters).length === 0) continue;
		const message = `arm ${name} has parameters, and the goal would promote its Variant without them`;
		const hint = "remove the goal and read the result, or give the parameters to a Variant of their own";
		report(experiment, ["spec", "arms", index, "parameters"], message, hint);
	}
}

/** Without units in the baseline there is no comparison. */
function baselineProblems({ report }: Check, experiment: Experiment): void {
	const { arms, goal, guardrails } = experiment.spec;
	if (goal === null && guardrails.length === 0) return;
	for (const [index, arm] of arms.entries()) {
		if (!arm.baseline || arm.weight > 0) continue;
		const message = `baseline arm ${arm.name} has weight 0: nothing can be compared with it`;
		report(experiment, ["spec", "arms", index, "weight"], message, "give it a weight, or remove goal and guardrails");
	}
}

/** A weighted arm without a live point would never get a unit. */
function liveProblems({ report }: Check, experiment: Experiment): void {
	const { arms, rollout } = experiment.spec;
	const regions = armRegions(arms.map((arm) => arm.weight));
	for (const [index, arm] of arms.entries()) {
		const region = regions[index];
		if (region === undefined || arm.weight === 0) continue;
		const size = region.hiPpm - region.loPpm;
		const step = rollout.stepsPpm.findIndex((ppm) => sharePoints(size, ppm) === 0);
		if (step === -1) continue;
		const percent = (rollout.stepsPpm[step] ?? 0) / (PPM / 100);
		const message = `arm ${arm.name} has no live point at step ${percent}%: ${size} of 1000000 points are its region`;
		report(experiment, ["spec", "arms", index, "weight"], message, "raise its weight or the step, or write weight: 0");
	}
}

/** A Metric and its denominator must have the same units and window. */
export function denominatorProblems({ set, positions, report }: Check): void {
	for (const metric of set.metrics) {
		const { denominator, windowMs } = metric.spec;
		if (denominator === null || denominator === "requests") continue;
		const { namespace } = metric.metadata;
		const found = findNamed(set.metrics, { name: denominator.metric, namespace });
		const path = ["spec", "denominator"];
		if (found === undefined) {
			if (positions.isBroken({ kind: "Metric", metadata: { name: denominator.metric, namespace } })) continue;
			const message = `unknown Metric ${JSON.stringify(denominator.metric)}`;
			report(metric, path, message, () => knownNamed({ name: denominator.metric, namespace }, set.metrics, "Metrics"));
		} else if (found.spec.source !== "outcome" || found.spec.type === "ratio") {
			const message = `denominator ${denominator.metric} is ${found.spec.type === "ratio" ? "a ratio" : "no outcome"}`;
			report(metric, path, message, "name a Metric of source outcome that is no ratio, or write requests");
		} else if (found.spec.windowMs !== windowMs) {
			const message = `denominator ${denominator.metric} has another window`;
			report(metric, path, message, "give both Metrics one window");
		}
	}
}

function metricProblems(check: Check, experiment: Experiment): void {
	const { goal, guardrails } = experiment.spec;
	if (goal !== null) metricProblem(check, experiment, goal.metric, ["spec", "goal"], "improveBy", goal.improveBy);
	const seen = new Set<string>();
	for (const [index, { metric, margin }] of guardrails.entries()) {
		const path = ["spec", "guardrails", index];
		metricProblem(check, experiment, metric, path, "margin", margin);
		if (seen.has(metric)) {
			const message = `metric ${metric} has two guardrails`;
			check.report(experiment, [...path, "metric"], message, "keep the one with the smaller margin");
		}
		seen.add(metric);
	}
}

function metricProblem(
	{ set, positions, report }: Check,
	experiment: Experiment,
	name: string,
	path: Path,
	field: "improveBy" | "margin",
	effect: Effect,
): void {
	const { namespace } = experiment.metadata;
	const metric = findNamed(set.metrics, { name, namespace });
	if (metric === undefined) {
		if (positions.isBroken({ kind: "Metric", metadata: { name, namespace } })) return;
		const message = `unknown Metric ${JSON.stringify(name)}`;
		report(experiment, [...path, "metric"], message, () => knownNamed({ name, namespace }, set.metrics, "Metrics"));
		return;
	}
	const source = positions.source(experiment, [...path, field, "absolute"]);
	if (source !== null) unitProblem({ report }, experiment, metric, source, [...path, field, "absolute"]);
	const [way, never] = field === "margin" ? (["worse", "broken"] as const) : (["better", "reached"] as const);
	const reach = largestChange(metric, way, effect.kind);
	if (effect.value < reach) return;
	const most = effect.kind === "relative" ? `${Number((reach * 100).toPrecision(6))}%` : String(reach);
	const message = `${field} of ${name} can never be ${never}: no arm is ${way} by more than ${most}`;
	report(experiment, [...path, field, effect.kind], message, `write less than ${most}`);
}

/**
 * An effect in the wrong unit would be another number: 0.5pp of a latency, 5ms of an accuracy. An absolute effect of a
 * latency or its quantile is in milliseconds.
 */
function unitProblem(
	{ report }: Pick<Check, "report">,
	experiment: Experiment,
	metric: Metric,
	source: string,
	path: Path,
): void {
	const latency = metric.spec.source === "latency";
	const { name } = metric.metadata;
	if (latency && source.endsWith("pp")) {
		report(
			experiment,
			path,
			`${source} are percentage points, and metric ${name} is a latency`,
			"write a duration such as 5ms",
		);
	}
	if (!latency && /[dhms]$/.test(source)) {
		const hint = "write percentage points such as 0.5pp or a number such as 0.02";
		report(experiment, path, `${source} is a duration, and metric ${name} is no latency`, hint);
	}
}
