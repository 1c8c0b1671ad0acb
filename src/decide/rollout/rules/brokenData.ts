/**
 * Broken data: no ramp or promotion on evidence that cannot be trusted. Harm is still detected, which is the safe side, and
 * maxDuration still applies, so a dead sender cannot keep an experiment running.
 */

import type { Metric } from "../../../declare/resources/resource.js";
import type { Analysis } from "../../../infer/statistics/analyse.js";
import { claimedMetrics } from "../../../infer/statistics/claim.js";
import type { MetricEvidence } from "../../../infer/statistics/evidence.js";
import { unequalMissing } from "../../../infer/statistics/missingOutcomes.js";
import { problemOfGrid } from "../../../infer/statistics/quantileGrid.js";
import { problemOfExtremes, problemOfRange, RANGE_SLACK } from "../../../infer/statistics/statistics/extremes.js";
import { problemOf } from "../../../infer/statistics/statistics/moments.js";
import type { DecisionInput } from "../decision.js";
import { type Explanation, openChallengers, outcomeOf, type RuleFunction } from "../outcome.js";
import { duration, number, percent } from "../sentence.js";
import { count } from "../summary.js";
import { maxDuration } from "./maxDuration.js";
import { SRM_ALPHA } from "./sampleRatio.js";

/** Lost access-log entries per exposed unit: beyond it the loss may exceed the effects. */
const DROPPED_SHARE_MAX = 0.01;

/** Share of units seen in two arms: the hash is stable, so ids are shared or plans differ. The usual limit in the field. */
const CONFLICTING_SHARE_MAX = 0.01;

/** Share of units with a forced arm: beyond it the rest does not represent the traffic. */
const FORCED_SHARE_MAX = 0.05;

/** Unequally missing outcomes bias like a sample ratio mismatch, so the level is the same. */
const MISSING_ALPHA = SRM_ALPHA;

/** A sender is silent if at its pace this many outcomes were due since its last one: by chance e⁻²⁰. */
const SILENT_OUTCOMES = 20;

/** Clocks of two synchronised machines differ by less. */
const CLOCK_SLACK_MS = 10_000;

export const brokenData: RuleFunction = (input, analysis) => {
	const broken = troubles(input);
	if (broken.length === 0) return null;
	const explanation = {
		reason: broken.map(({ reason }) => reason).join("; "),
		summary: broken.map(({ summary }) => summary).join("; "),
	};
	const kept = { by: "data", ...explanation } as const;
	const ended = Number.isFinite(input.nowMs) ? maxDuration(input, analysis, kept) : null;
	if (ended !== null) return ended;
	const at = percent(input.status.allocationPpm);
	return outcomeOf(
		input,
		analysis,
		["hold", "data"],
		{
			reason: `Holding at ${at}, the data are broken: ${explanation.reason}; no ramp or promotion until they are whole.`,
			summary: `Waiting at ${at}, because what is measured cannot be trusted: ${explanation.summary}.`,
		},
		{ waitsFor: "data" },
	);
};

/** All problems of the evidence. */
export function troubles(input: DecisionInput): Explanation[] {
	return [
		...clocks(input),
		...unreadable(input),
		...shapes(input),
		...shares(input),
		...missing(input),
		...silent(input),
	];
}

/** The same with a sample ratio mismatch: why a finding cannot be trusted. */
export function doubts(input: DecisionInput, { srm }: Pick<Analysis, "srm">): Explanation[] {
	const found = troubles(input);
	if (srm !== null && srm.p < SRM_ALPHA)
		found.push({
			reason: `sample ratio mismatch, p ${srm.p.toExponential(2)} over ${srm.units} exposed units`,
			summary: "people are not split between the versions as they should be",
		});
	return found;
}

/** Texts to append to a decision about harm, which counts on broken data too: a sentence, and the end of one; or empty. */
export function dataWarning(input: DecisionInput, analysis: Pick<Analysis, "srm">): Explanation {
	const found = doubts(input, analysis);
	if (found.length === 0) return { reason: "", summary: "" };
	return {
		reason: ` Harm counts though the data are broken: ${found.map(({ reason }) => reason).join("; ")}.`,
		summary: `, although what is measured cannot be trusted (${found.map(({ summary }) => summary).join("; ")})`,
	};
}

const unreadable = ({ evidence }: DecisionInput): Explanation[] =>
	(evidence.unreadable ?? []).map((metric) => ({
		reason: `${metric} cannot be read from the event store (see ingest's log)`,
		summary: `nothing is known about ${metric}`,
	}));

/** Windows close by the clock: one that goes back opens them again and changes the counts. */
function clocks({ evidence, status, nowMs }: DecisionInput): Explanation[] {
	if (!Number.isFinite(nowMs)) return [{ reason: `now is ${nowMs}`, summary: "the time is unknown" }];
	const last = Math.max(status.startedAtMs, status.stepStartedAtMs, ...(status.looks ?? []).map(({ atMs }) => atMs));
	const back = last - Math.min(evidence.asOfMs, nowMs);
	if (!Number.isFinite(evidence.asOfMs))
		return [{ reason: "the evidence has no time", summary: "its time is unknown" }];
	const ahead = evidence.asOfMs - nowMs;
	if (ahead > CLOCK_SLACK_MS) {
		const by = duration(ahead);
		return [{ reason: `the evidence lies ${by} in the future`, summary: `its clock is ${by} ahead` }];
	}
	if (back <= CLOCK_SLACK_MS) return [];
	return [
		{
			reason: `a clock went back: evidence as of ${evidence.asOfMs} and now ${nowMs} lie ${duration(back)} before the last step at ${last}`,
			summary: `a clock went back by ${duration(back)}`,
		},
	];
}

/** Numbers that no sample can have; duplicate or undeclared arms. */
export function shapes({ experiment, metrics: declaredMetrics, evidence }: DecisionInput): Explanation[] {
	const declared = experiment.spec.arms.map(({ name }) => name);
	const names = evidence.arms.map(({ arm }) => arm);
	const found: Explanation[] = [];
	for (const arm of new Set(names)) {
		if (!declared.includes(arm))
			found.push({ reason: `there is no arm ${arm}`, summary: `it speaks of an unknown version ${arm}` });
		if (names.filter((name) => name === arm).length > 1)
			found.push({ reason: `arm ${arm} is there twice`, summary: `version ${arm} is counted twice` });
	}
	for (const { arm, exposedUnits, maturedUnits, metrics } of evidence.arms) {
		if (!isCount(exposedUnits) || !isCount(maturedUnits) || maturedUnits > exposedUnits)
			found.push({
				reason: `arm ${arm} has ${exposedUnits} exposed and ${maturedUnits} matured units`,
				summary: `the count of people of ${arm} is no count`,
			});
		for (const metric of claimedMetrics(experiment)) {
			const moments = metrics[metric];
			const problem = moments === undefined ? null : measureProblem(moments, declaredMetrics[metric]);
			if (problem !== null)
				found.push({
					reason: `${metric} of arm ${arm}: ${problem.reason}`,
					summary: `${metric} of ${arm} ${problem.summary}`,
				});
		}
	}
	const { droppedEntries, conflictingUnits, forcedUnits, exposures } = evidence;
	const missing = evidence.arms.flatMap(({ missingUnits }) => Object.values(missingUnits));
	const counts = exposures.flatMap((batch) => [...Object.values(batch.counts), ...Object.values(batch.livePoints)]);
	if (![droppedEntries, conflictingUnits, forcedUnits, ...missing, ...counts].every(isCount))
		found.push({ reason: "a count is no whole number from 0 on", summary: "a count is no count" });
	for (const { planVersion, counts, livePoints } of exposures)
		for (const [arm, units] of Object.entries(counts))
			if (units > 0 && (livePoints[arm] ?? 0) === 0)
				found.push({
					reason: `${units} units were exposed in arm ${arm} under plan ${planVersion}, which has no live point`,
					summary: `${count(units)} people were in ${arm} where no one can be`,
				});
	const exposed = evidence.arms.reduce((sum, arm) => sum + arm.exposedUnits, 0);
	if (exposed > 0 && exposures.length === 0)
		found.push({
			reason: `${exposed} units are exposed, and under no plan: their ratio cannot be judged`,
			summary: "the shares by which people were divided are unknown",
		});
	return found;
}

/** The problem of a metric's numbers in an arm; null = none. */
function measureProblem(measured: MetricEvidence, metric: Metric | undefined): Explanation | null {
	const { n, mean, extremes: [own] = [] } = measured;
	const moments = problemOf(measured);
	if (moments !== "") return { reason: moments, summary: "is not a number" };
	if (n > 0 && measured.slow !== undefined) {
		const grid = problemOfGrid(measured.slow, mean);
		if (grid !== "") return { reason: grid, summary: "has shares of slow requests that no requests have" };
	}
	// Only the value's own extremes: the claim checks those of covariates.
	if (n === 0 || own === undefined) return null;
	const beside = problemOfExtremes(own, mean);
	if (beside !== "") return { reason: beside, summary: "has a mean that its least and greatest value cannot have" };
	const range = metric?.spec.range ?? null;
	if (range === null) return null;
	const outside = problemOfRange(own, range, RANGE_SLACK);
	return outside === ""
		? null
		: { reason: outside, summary: `has values outside of its range [${range.lo}, ${range.hi}]` };
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function shares({ evidence }: DecisionInput): Explanation[] {
	const exposed = evidence.arms.reduce((sum, arm) => sum + arm.exposedUnits, 0);
	const found: Explanation[] = [];
	const beyond = (part: number, of: number, most: number): boolean => part > 0 && !(part <= most * of);
	const { droppedEntries, conflictingUnits, forcedUnits } = evidence;
	if (beyond(droppedEntries, exposed, DROPPED_SHARE_MAX))
		found.push({
			reason: `${droppedEntries} access-log entries were dropped, more than ${percent(DROPPED_SHARE_MAX * 1e6)} of ${exposed} units`,
			summary: `${count(droppedEntries)} records of requests were lost`,
		});
	if (beyond(conflictingUnits, exposed + conflictingUnits, CONFLICTING_SHARE_MAX))
		found.push({
			reason: `${conflictingUnits} units were seen in two arms, more than ${percent(CONFLICTING_SHARE_MAX * 1e6)} of ${exposed + conflictingUnits}`,
			summary: `${count(conflictingUnits)} people were seen in two versions`,
		});
	if (beyond(forcedUnits, exposed + forcedUnits, FORCED_SHARE_MAX))
		found.push({
			reason: `${forcedUnits} units had a forced arm, more than ${percent(FORCED_SHARE_MAX * 1e6)} of ${exposed + forcedUnits}`,
			summary: `${count(forcedUnits)} people got their version by hand`,
		});
	return found;
}

function missing(input: DecisionInput): Explanation[] {
	const { experiment, metrics, evidence } = input;
	return unequalMissing(experiment, metrics, evidence, openChallengers(input), MISSING_ALPHA).map(
		({ arm, metric, challenger, baseline, logE }) => ({
			reason: `outcomes of ${metric} are missing unequally: of ${number(challenger * 100)}% of arm ${arm}'s units, of ${number(baseline * 100)}% of the baseline's (p ${Math.exp(-logE).toExponential(2)})`,
			summary: `${metric} is missing for ${number(challenger * 100)}% of the people of ${arm}, but for ${number(baseline * 100)}% of the others`,
		}),
	);
}

/** Exposures continue but outcomes stopped, measured from the last outcome to the newest exposure's window. */
function silent({ experiment, metrics, evidence }: DecisionInput): Explanation[] {
	const batch = evidence.exposures.at(-1);
	const newestMs = evidence.newestExposureMs;
	if (batch === undefined || newestMs === undefined || newestMs <= batch.firstMs) return [];
	const perMs = Object.values(batch.counts).reduce((sum, units) => sum + units, 0) / (newestMs - batch.firstMs);
	return claimedMetrics(experiment).flatMap((name) => {
		const metric = metrics[name];
		const lastMs = evidence.newestOutcomeMs[name];
		if (metric === undefined || metric.spec.source !== "outcome" || lastMs === undefined) return [];
		const values = evidence.arms.reduce((sum, arm) => sum + (arm.metrics[name]?.n ?? 0), 0);
		const without = evidence.arms.reduce((sum, arm) => sum + (arm.missingUnits[name] ?? 0), 0);
		const silence = newestMs - metric.spec.windowMs - Math.max(lastMs, batch.firstMs);
		const expected = values === 0 ? 0 : perMs * (values / (values + without)) * silence;
		if (!(expected >= SILENT_OUTCOMES)) return [];
		const quiet = duration(evidence.asOfMs - lastMs);
		return [
			{
				reason: `no outcome of ${name} has come for ${quiet}, about ${Math.round(expected)} were to be expected`,
				summary: `${name} has not been reported for ${quiet}`,
			},
		];
	});
}
