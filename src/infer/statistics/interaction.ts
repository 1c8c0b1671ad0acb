/**
 * Interactions: the winner's effect depends on the arm of another Experiment, or the assignments of two Experiments are not
 * independent, so that each also measures the other.
 *
 * Effects: the challenger's improvement is bounded in each arm of the other Experiment, all bounds together at the level. If
 * two of these intervals are disjoint, the difference of differences is not 0. Anytime-valid, and as exact as the metric's
 * method. Assignment: within each arm of the other, units must be split by the weights: a sequential sample-ratio test in
 * each, over disjoint units, so that their e-values multiply.
 */
import type { Experiment } from "../../declare/resources/resource.js";
import { compare } from "./comparison.js";
import type { InteractionEvidence } from "./evidence.js";
import { baselineOf, isMeasured, type Measured, type Question, sharesOf } from "./question.js";
import { sampleRatio } from "./sequential/srm.js";
import { NO_MOMENTS } from "./statistics/moments.js";

export type Interaction =
	| {
			readonly kind: "effect";
			/** Qualified name of the other Experiment. */
			readonly with: string;
			readonly better: { readonly arm: string; readonly measured: Measured };
			readonly worse: { readonly arm: string; readonly measured: Measured };
	  }
	| { readonly kind: "assignment"; readonly with: string; readonly p: number };

/** Proved interactions at `alpha` in total: half for effects, half for assignments. */
export function interactions(
	question: Omit<Question, "alpha" | "harmAlpha">,
	names: { readonly metric: string; readonly arm: string; readonly experiment: Experiment },
	evidence: readonly InteractionEvidence[],
	alpha: number,
): Interaction[] {
	const cells = evidence.reduce((sum, other) => sum + armsOf(other).length, 0);
	const level = alpha / 4 / Math.max(1, cells);
	return evidence.flatMap((other): Interaction[] => {
		const dependence = assignmentP(names, other);
		if (dependence !== null && dependence < alpha / 2 / evidence.length)
			return [{ kind: "assignment", with: other.experiment, p: dependence }];
		const found = apart({ ...question, alpha: level, harmAlpha: level }, names, other);
		return found === null ? [] : [{ kind: "effect", with: other.experiment, ...found }];
	});
}

function armsOf({ cells }: InteractionEvidence): string[] {
	return [...new Set(cells.map((cell) => cell.otherArm))];
}

/** The arms of the other Experiment with the largest effect and with one that is proved smaller. */
function apart(
	question: Question,
	{ metric, arm, experiment }: { readonly metric: string; readonly arm: string; readonly experiment: Experiment },
	other: InteractionEvidence,
) {
	const measured = armsOf(other).flatMap((otherArm) => {
		const of = (name: string) =>
			other.cells.find((cell) => cell.otherArm === otherArm && cell.arm === name)?.metrics[metric] ?? NO_MOMENTS;
		const [t, c] = [of(arm), of(baselineOf(experiment))];
		if (t.n === 0 || c.n === 0) return [];
		const result = compare(question, t, c);
		return isMeasured(result) ? [{ arm: otherArm, measured: result }] : [];
	});
	const [first] = measured;
	if (first === undefined) return null;
	const better = measured.reduce((best, one) => (one.measured.lower > best.measured.lower ? one : best), first);
	const worse = measured.reduce((least, one) => (one.measured.upper < least.measured.upper ? one : least), first);
	return better.measured.lower > worse.measured.upper ? { better, worse } : null;
}

/** p-value of independent assignment; null = no units. */
function assignmentP(
	{ arm, experiment }: { readonly arm: string; readonly experiment: Experiment },
	other: InteractionEvidence,
): number | null {
	const baseline = baselineOf(experiment);
	const shares = sharesOf(experiment, arm);
	const livePoints = { [arm]: shares.challenger, [baseline]: shares.baseline };
	let logBayesFactor: number | null = null;
	for (const otherArm of armsOf(other)) {
		const units = (name: string) =>
			other.cells.find((cell) => cell.otherArm === otherArm && cell.arm === name)?.units ?? 0;
		const counts = { [arm]: units(arm), [baseline]: units(baseline) };
		const ratio = sampleRatio([{ planVersion: otherArm, firstMs: 0, counts, livePoints }]);
		if (ratio !== null) logBayesFactor = (logBayesFactor ?? 0) + ratio.logBayesFactor;
	}
	return logBayesFactor === null ? null : Math.min(1, Math.exp(-logBayesFactor));
}
