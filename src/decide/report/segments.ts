/**
 * Effects in the values of declared segments. A part proves harm alone, at the level that the declaration gave it;
 * apparent gains of a part are what many looks at parts bring by chance.
 */
import { claims, levelsInEra, segmentShare } from "../../infer/statistics/claim.js";
import { compare } from "../../infer/statistics/comparison.js";
import { isNoEstimate } from "../../infer/statistics/estimators/estimate.js";
import type { Evidence, PartOfArm } from "../../infer/statistics/evidence.js";
import type { SlowRequests } from "../../infer/statistics/finding.js";
import { postStratified, type StratifiedEffect } from "../../infer/statistics/postStratified.js";
import { baselineOf, isMeasured, isRelative, lineOf, questionOf } from "../../infer/statistics/question.js";
import { isHarmInPart } from "../../infer/statistics/segmentHarm.js";
import { NO_MOMENTS } from "../../infer/statistics/statistics/moments.js";
import { questionsOf, type ReportInput } from "./reportInput.js";

export interface SegmentValue {
	/** null: all rarer values together. */
	readonly value: string | null;
	readonly units: number;
	readonly improvement: number | null;
	/** null: it cannot be measured, see note. */
	readonly lower: number | null;
	readonly upper: number | null;
	readonly harm: boolean;
	readonly note: string;
}

/** One claim in all values of one segment. */
export interface SegmentReport {
	readonly segment: string;
	readonly arm: string;
	readonly metric: string;
	readonly role: "goal" | "guardrail";
	readonly line: number;
	readonly relative: boolean;
	/** As of the claim's finding. */
	readonly slow?: SlowRequests;
	readonly values: readonly SegmentValue[];
	/** As if every value had the same share in both arms. For reading, never for deciding. null: there is no such estimate. */
	readonly stratified: StratifiedEffect | null;
}

export function segmentsOf(input: ReportInput, evidence: Evidence): readonly SegmentReport[] {
	const { experiment, metrics, thresholds, levels } = questionsOf(input);
	return experiment.spec.segments.flatMap(({ name }) => {
		const entries = evidence.segments.filter(({ segment }) => segment === name);
		if (entries.length === 0) return [];
		return claims(experiment, metrics, thresholds).flatMap((claim): SegmentReport[] => {
			const { arm, metric, metricName, role } = claim;
			if (metric === null) return [];
			const { pass, segmentHarm } = levelsInEra(levels, claim);
			const values = entries.map(({ value, rank, arms }): SegmentValue => {
				const question = questionOf(claim, metric, experiment, pass, segmentHarm * segmentShare(rank));
				const t = metricIn(arms, arm, metricName);
				const c = metricIn(arms, baselineOf(experiment), metricName);
				const units = t.n + c.n;
				const measured = t.n === 0 || c.n === 0 ? { note: "no data in one of the arms" } : compare(question, t, c);
				if (!isMeasured(measured))
					return { value, units, improvement: null, lower: null, upper: null, harm: false, note: measured.note };
				const { improvement, lower, upper } = measured;
				// As decisions judge it (segmentHarm.ts). Rarer values together rank after the others, and their harm counts too.
				const harm = rank >= 0 && isHarmInPart(question, measured, t, c);
				return { value, units, improvement, lower, upper, harm, note: "" };
			});
			const stratified = postStratified(
				{ metric, effect: claim.effect },
				entries.map(({ arms }) => ({
					challenger: metricIn(arms, arm, metricName),
					baseline: metricIn(arms, baselineOf(experiment), metricName),
				})),
			);
			return [
				{
					...{ segment: name, arm, metric: metricName, role, values },
					stratified: isNoEstimate(stratified) ? null : stratified,
					line: lineOf(claim, metric),
					relative: isRelative({ metric, effect: claim.effect }),
					...(claim.slow === null ? {} : { slow: claim.slow }),
				},
			];
		});
	});
}

function metricIn(arms: readonly PartOfArm[], arm: string, metric: string) {
	return arms.find((entry) => entry.arm === arm)?.metrics[metric] ?? NO_MOMENTS;
}
