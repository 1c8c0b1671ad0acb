/** Sample ratio: who came to which arm, against the shares that the live points of each plan promise. */
import { isNoEstimate } from "../../infer/statistics/estimators/estimate.js";
import type { Evidence } from "../../infer/statistics/evidence.js";
import { type SampleRatioTest, sampleRatioTest } from "../../infer/statistics/fixed/sampleRatio.js";
import { exposuresSince, type SampleRatio } from "../../infer/statistics/sequential/srm.js";
import { SRM_ALPHA } from "../rollout/rules/sampleRatio.js";
import { populationKey, type ReportInput } from "./reportInput.js";

export interface SampleRatioReport {
	/** null: nothing to test yet. */
	readonly test: SampleRatio | null;
	/** The classical test of the same counts, which looks once: to compare with others, nothing goes by it. null: none. */
	readonly classic: SampleRatioTest | null;
	/** Below it the rollout pauses. */
	readonly alpha: number;
	readonly arms: readonly { readonly arm: string; readonly units: number; readonly expected: number }[];
	/** As it stood at each decision, and now; valid at all of these looks. */
	readonly history: readonly { readonly atMs: number; readonly p: number }[];
	/** Exposures before a person's resume no longer count. */
	readonly restarted: boolean;
}

export function sampleRatioOf(
	{ experiment, status, decisions }: ReportInput,
	evidence: Evidence,
	test: SampleRatio | null,
): SampleRatioReport {
	const accepted = typeof status.acceptedExposures === "object" ? status.acceptedExposures : {};
	const batches = exposuresSince(evidence.exposures, accepted);
	const arms = experiment.spec.arms.map(({ name }) => {
		let [units, expected] = [0, 0];
		for (const { counts, livePoints } of batches) {
			const live = Object.entries(livePoints).filter(([, points]) => points > 0);
			const points = live.reduce((sum, [, one]) => sum + one, 0);
			const exposed = live.reduce((sum, [arm]) => sum + (counts[arm] ?? 0), 0);
			if (live.length < 2 || !live.some(([arm]) => arm === name)) continue;
			units += counts[name] ?? 0;
			expected += (exposed * (livePoints[name] ?? 0)) / points;
		}
		return { arm: name, units, expected };
	});
	const now = populationKey(status);
	const history = decisions.flatMap(({ atMs, input, outcome: { srmP } }) =>
		srmP === null || atMs >= evidence.asOfMs || (input !== null && populationKey(input.status) !== now)
			? []
			: { atMs, p: srmP },
	);
	if (test !== null) history.push({ atMs: evidence.asOfMs, p: test.p });
	const classic = sampleRatioTest(
		arms.map(({ units }) => units),
		arms.map(({ expected }) => expected),
	);
	return {
		test,
		classic: isNoEstimate(classic) ? null : classic,
		alpha: SRM_ALPHA,
		arms,
		history,
		restarted: Object.keys(accepted).length > 0,
	};
}
