/**
 * Confidence sequences over time: the earlier intervals of each claim. They come from the periods of the evidence, merged
 * one after the other, or from the decisions, which keep their input. The source with more points is used; the interval
 * holds at every look of either.
 */

import { pooled } from "../../infer/statistics/effectOverTime.js";
import type { ArmEvidence, Evidence, MetricEvidence } from "../../infer/statistics/evidence.js";
import { endsOf, type Finding } from "../../infer/statistics/finding.js";
import { afterLook, NO_LOOKS, type RunningBounds } from "../../infer/statistics/sequential/runningBounds.js";
import { analyseAll, populationKey, type ReportInput } from "./reportInput.js";

export interface BoundsAt {
	readonly atMs: number;
	/** Units in both arms. */
	readonly units: number;
	readonly improvement: number | null;
	readonly lower: number;
	readonly upper: number;
}

export interface ClaimHistory {
	readonly arm: string;
	readonly metric: string;
	readonly role: Finding["role"];
	readonly from: "periods" | "decisions";
	/** Oldest first; the last is now. */
	readonly points: readonly BoundsAt[];
	/** The result of all these looks together. */
	readonly together: Pick<RunningBounds, "lower" | "upper" | "looks" | "contradicted">;
}

/** One entry for each claim that can be measured now or could be earlier. */
export function historyOf(
	input: ReportInput,
	evidence: Evidence | null,
	claims: readonly Finding[],
): readonly ClaimHistory[] {
	if (evidence === null) return [];
	const { asOfMs, periods } = evidence;
	const { thresholds } = input.status;
	const decided = [...atDecisions(input, evidence), { atMs: asOfMs, findings: claims, thresholds }];
	// Long after its end there are no new units: the last exposure is the last look.
	const merged = [
		...atPeriods(input, evidence),
		{ atMs: Math.min(asOfMs, periods.at(-1)?.toMs ?? asOfMs), findings: claims, thresholds },
	];
	return claims.flatMap((claim) => {
		const [byDecisions, byPeriods] = [pointsOf(decided, claim, thresholds), pointsOf(merged, claim, thresholds)];
		const from = byPeriods.length >= byDecisions.length ? "periods" : "decisions";
		const points = changed(from === "periods" ? byPeriods : byDecisions);
		if (points.length === 0) return [];
		const { lower, upper, looks, contradicted } = points.reduce(afterLook, NO_LOOKS);
		const together = { lower, upper, looks, contradicted };
		return { arm: claim.arm, metric: claim.metric, role: claim.role, from, points, together };
	});
}

/** Without final looks that saw no new data. */
function changed(points: readonly BoundsAt[]): readonly BoundsAt[] {
	const last = points.at(-1);
	const first = points.findIndex(
		({ units, lower, upper }) => units === last?.units && lower === last.lower && upper === last.upper,
	);
	return points.slice(0, first + 1);
}

interface Look {
	readonly atMs: number;
	/** When each threshold was frozen: by another one it is another claim. */
	readonly thresholds: ReportInput["status"]["thresholds"];
	readonly findings: readonly Finding[];
}

function pointsOf(looks: readonly Look[], claim: Finding, now: Look["thresholds"]): BoundsAt[] {
	return looks.flatMap(({ atMs, findings, thresholds }) => {
		if (thresholds[claim.metric]?.frozenAtMs !== now[claim.metric]?.frozenAtMs) return [];
		const own = findings.find(
			(one) =>
				one.arm === claim.arm && one.metric === claim.metric && one.role === claim.role && one.segment === undefined,
		);
		const ends = own === undefined ? null : endsOf(own);
		if (own === undefined || ends === null || !isAlike(own, claim)) return [];
		const units = own.baseline.n + own.challenger.n;
		return { atMs, units, improvement: own.improvement, ...ends };
	});
}

/** Bounds of another level or on another scale are no look at the same claim. */
function isAlike(a: Finding, b: Finding): boolean {
	return a.alpha === b.alpha && a.harmAlpha === b.harmAlpha && a.relative === b.relative;
}

function atDecisions({ decisions, status }: ReportInput, { asOfMs }: Evidence): Look[] {
	const now = populationKey(status);
	return decisions.flatMap(({ input, outcome }) =>
		// A holdback is another test, of other people.
		input === null || input.evidence.asOfMs >= asOfMs || populationKey(input.status) !== now
			? []
			: { atMs: input.evidence.asOfMs, findings: outcome.findings, thresholds: input.status.thresholds },
	);
}

/** The last period is left out: together with all before it, it is now. */
function atPeriods(input: ReportInput, evidence: Evidence): Look[] {
	return evidence.periods.slice(0, -1).map(({ toMs }, index) => {
		const periods = evidence.periods.slice(0, index + 1);
		const arms = evidence.arms.map(({ arm, metrics }): ArmEvidence => {
			const exposedUnits = periods.reduce((sum, period) => sum + unitsIn(period.arms, arm), 0);
			const names = Object.keys(metrics);
			const together = names.map((name): [string, MetricEvidence] => [name, pooled(periods, arm, name)]);
			const known = Object.fromEntries(together.filter(([, { n }]) => n > 0));
			return { arm, exposedUnits, maturedUnits: exposedUnits, metrics: known, missingUnits: {} };
		});
		const { findings } = analyseAll(input, { ...evidence, arms, exposures: [], segments: [] });
		return { atMs: toMs, findings, thresholds: input.status.thresholds };
	});
}

function unitsIn(arms: Evidence["periods"][number]["arms"], arm: string): number {
	return arms.find((entry) => entry.arm === arm)?.exposedUnits ?? 0;
}
