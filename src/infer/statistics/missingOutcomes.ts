/**
 * Outcomes that are missing more often in one arm than in the other: units with an outcome are then not a fair sample, and
 * their effect is biased. Like a sample ratio mismatch, but after exposure.
 *
 * The test is exact and anytime-valid: "has an outcome" is 0 or 1 per matured unit, so two rates are compared by the Bernoulli
 * mixture, in both directions at half the level each.
 */
import type { Experiment, Metric } from "../../declare/resources/resource.js";
import type { Evidence } from "./evidence.js";
import { baselineOf, sharesOf } from "./question.js";
import { logEvidence, PRIOR_RATE, type Sample } from "./sequential/bernoulliMixture.js";

export interface UnequalMissing {
	readonly arm: string;
	readonly metric: string;
	/** Shares of matured units without an outcome. */
	readonly challenger: number;
	readonly baseline: number;
	/** ln of the e-value against equal shares. */
	readonly logE: number;
}

/** Proved differences, at `alpha` over all open challengers and all metrics that exclude units without an outcome. */
export function unequalMissing(
	experiment: Experiment,
	metrics: Readonly<Record<string, Metric>>,
	evidence: Evidence,
	open: readonly string[],
	alpha: number,
): UnequalMissing[] {
	const names = Object.entries(metrics)
		.filter(([, { spec }]) => spec.source === "outcome" && spec.missing === "exclude")
		.map(([name]) => name)
		.sort();
	const challengers = experiment.spec.arms.filter((arm) => !arm.baseline).length;
	const bar = Math.log(2 * Math.max(1, challengers * names.length)) - Math.log(alpha);
	return open.flatMap((arm) =>
		names.flatMap((metric) => {
			const [t, c] = [answered(evidence, arm, metric), answered(evidence, baselineOf(experiment), metric)];
			if (t === null || c === null || t.sum / t.n === c.sum / c.n) return [];
			const side = t.sum / t.n > c.sum / c.n ? "above" : "below";
			const logE = logEvidence(side, t, c, { slope: 1, offset: 0 }, PRIOR_RATE, sharesOf(experiment, arm));
			if (!(logE >= bar)) return [];
			return [{ arm, metric, challenger: 1 - t.sum / t.n, baseline: 1 - c.sum / c.n, logE }];
		}),
	);
}

/** Units with an outcome, and all that could have one. */
function answered(evidence: Evidence, arm: string, metric: string): Sample | null {
	const entry = evidence.arms.find((candidate) => candidate.arm === arm);
	const sum = entry?.metrics[metric]?.n ?? 0;
	const n = sum + (entry?.missingUnits[metric] ?? 0);
	return n > 0 && sum >= 0 && sum <= n ? { n, sum } : null;
}
