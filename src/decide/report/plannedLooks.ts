/**
 * The planned looks at the goal, each with its classical test, recomputed from the decision's
 * input. Its lower bound is at the level that the look's boundary leaves: a repeated confidence interval, which holds
 * at all planned looks together, and lies above the line where the goal is proved (Jennison & Turnbull, "Interim analyses: the
 * repeated confidence interval approach", JRSS-B 51, 1989). For one single look it is the plain interval.
 */
import { claims, levels } from "../../infer/statistics/claim.js";
import { normalSf } from "../../infer/statistics/distributions/normal.js";
import { isNoEstimate } from "../../infer/statistics/estimators/estimate.js";
import { adjustedPs } from "../../infer/statistics/multiplicity/adjusted.js";
import { type PlannedTest, plannedTest } from "../../infer/statistics/plannedLook.js";
import { baselineOf } from "../../infer/statistics/question.js";
import { NO_MOMENTS } from "../../infer/statistics/statistics/moments.js";
import type { DecisionInput } from "../rollout/decision.js";
import { lineOfLook } from "../rollout/rules/plannedLook.js";
import type { ReportInput } from "./reportInput.js";

export interface PlannedLookReport {
	/** 1, 2, … */
	readonly number: number;
	readonly atMs: number;
	readonly arms: readonly {
		readonly arm: string;
		/** Its information: units with a value of the goal, as informationUnits() counts them. */
		readonly units: number;
		readonly boundary: number;
		/** As it was decided by; null: it could not be tested. */
		readonly z: number | null;
		readonly proved: boolean;
		/** null: it could not be tested, or the decision has not been kept. */
		readonly test: PlannedTest | null;
		/**
		 * p among the arms of this look, by Holm: never larger than the Bonferroni share that decides would make it. For reading.
		 * null: as test.
		 */
		readonly holm: number | null;
	}[];
}

/** Oldest first; none of a sequential design. */
export function plannedLooksOf({
	experiment,
	status,
	decisions,
}: Pick<ReportInput, "experiment" | "status" | "decisions">): readonly PlannedLookReport[] {
	if (experiment.spec.rollout.inference.design === "sequential") return [];
	return (status.looks ?? []).map((look, index) => {
		const { atMs, z } = look;
		const input =
			decisions.find((decision) => decision.atMs === atMs && decision.outcome.rule === "look")?.input ?? null;
		const tests = Object.keys(z).map((arm) =>
			input === null ? null : testOf(input, arm, normalSf(lineOfLook(look, arm).boundary)),
		);
		const holm = adjustedPs(
			"holm",
			tests.map((test) => test?.pValue ?? null),
		);
		const arms = Object.entries(z).map(([arm, own], place) => ({
			arm,
			...lineOfLook(look, arm),
			z: own,
			proved: own !== null && own >= lineOfLook(look, arm).boundary,
			test: tests[place] ?? null,
			holm: holm[place] ?? null,
		}));
		return { number: index + 1, atMs, arms };
	});
}

type LookInput = Pick<DecisionInput, "experiment" | "metrics" | "evidence">;

function testOf({ experiment, metrics, evidence }: LookInput, arm: string, alpha: number): PlannedTest | null {
	const goal = claims(experiment, metrics).find((claim) => claim.arm === arm && claim.role === "goal");
	if (goal === undefined || goal.metric === null || !(alpha > 0)) return null;
	const { metric, role, effect, slowLine, metricName } = goal;
	const of = (name: string) => evidence.arms.find((one) => one.arm === name)?.metrics[metricName] ?? NO_MOMENTS;
	const goalAlpha = levels(experiment).pass;
	const [t, c] = [of(arm), of(baselineOf(experiment))];
	const found = plannedTest({ metric, role, effect, slowLine }, t, c, goalAlpha, alpha);
	return isNoEstimate(found) ? null : found;
}
