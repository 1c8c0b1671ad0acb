/**
 * Harm in a segment: a Variant may be bad for one country and good overall. Tests every claim for harm in each value of each
 * declared segment; a segment never proves a pass.
 *
 * The levels are fixed by the declaration: levels() gives a segment its share, segmentShare() divides it among its values by
 * their order of appearance. The sum over all possible values is at most the segment's share.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { type Claim, type Levels, levelsInEra, segmentShare } from "./claim.js";
import { mayBeBelow } from "./compareShares.js";
import { compare } from "./comparison.js";
import type { Evidence, MetricEvidence, PartOfArm, SegmentEvidence } from "./evidence.js";
import { type Finding, storedBound } from "./finding.js";
import { mayHarm } from "./frozenReference.js";
import {
	baselineOf,
	harmLineOf,
	isHarm,
	isMeasured,
	isRelative,
	lineOf,
	type Measured,
	methodOf,
	type Question,
	questionOf,
	signOf,
	thresholdsOf,
} from "./question.js";
import { problemOf } from "./statistics/moments.js";

/** Proved harms by segment, value and claim. */
export function segmentHarms(
	claims: readonly Claim[],
	experiment: Experiment,
	evidence: Evidence,
	shared: Levels,
): Finding[] {
	if (evidence.segments.length === 0) return [];
	const declared = new Set(experiment.spec.segments.map(({ name }) => name));
	return evidence.segments
		.filter((entry) => declared.has(entry.segment) && entry.rank >= 0)
		.flatMap((entry) =>
			claims.flatMap((claim) => {
				const { metric } = claim;
				if (metric === null) return [];
				const { pass, segmentHarm } = levelsInEra(shared, claim);
				return harmIn(entry, claim, metric, experiment, { pass, harm: segmentHarm * segmentShare(entry.rank) }) ?? [];
			}),
		);
}

function harmIn(
	{ segment, value, arms }: SegmentEvidence,
	claim: Claim,
	metric: Metric,
	experiment: Experiment,
	level: { readonly pass: number; readonly harm: number },
): Finding | null {
	const t = metricIn(arms, claim.arm, claim.metricName);
	const c = metricIn(arms, baselineOf(experiment), claim.metricName);
	if (t === undefined || c === undefined || t.n === 0 || c.n === 0 || problemOf(t) !== "" || problemOf(c) !== "")
		return null;
	const question = questionOf(claim, metric, experiment, level.pass, level.harm);
	const harmLine = harmLineOf(question, metric);
	// Fast path: most values are not worse by the estimate, so harm cannot be proved.
	if (isOfMeans(metric) && !looksWorse(t.mean, c.mean, signOf(metric), isRelative(question), harmLine)) return null;
	const method = methodOf(question, [t, c]);
	if (method === "bernoulli-mixture" && !mayBeBelow(question, t, c, harmLine)) return null;
	const measured = compare(question, t, c);
	if (!isMeasured(measured) || !isHarmInPart(question, measured, t, c)) return null;
	const { improvement, lower, upper, standardError, logE, baseline, challenger } = measured;
	return {
		metric: claim.metricName,
		arm: claim.arm,
		role: claim.role,
		segment: { name: segment, value },
		method,
		baseline,
		challenger,
		improvement,
		lower: storedBound(lower),
		upper: storedBound(upper),
		standardError,
		line: lineOf(claim, metric),
		relative: isRelative(question),
		alpha: level.pass,
		harmAlpha: level.harm,
		logE,
		verdict: "harm",
		note: "",
		...(claim.slow === null ? {} : { slow: claim.slow }),
	};
}

/** Whether a segment value's measurement proves harm. Used for decisions and reports. */
export function isHarmInPart(
	question: Question,
	measured: Pick<Measured, "improvement" | "upper">,
	t: MetricEvidence,
	c: MetricEvidence,
): boolean {
	return isHarm(measured, harmLineOf(question, question.metric), () =>
		mayHarm(question.reference, thresholdsOf(question), t, c, question.harmAlpha),
	);
}

/** Whether the moments are enough for the comparison: no ratio, no covariate. */
function isOfMeans({ spec }: Metric): boolean {
	return spec.type !== "ratio" && spec.covariateMs === null;
}

/** Whether the estimated improvement is below the line. */
function looksWorse(t: number, c: number, sign: 1 | -1, relative: boolean, line: number): boolean {
	const improvement = sign * (relative ? (t - c) / Math.abs(c) : t - c);
	return !(improvement > line);
}

function metricIn(arms: readonly PartOfArm[], arm: string, metric: string): MetricEvidence | undefined {
	return arms.find((entry) => entry.arm === arm)?.metrics[metric];
}
