/**
 * When the next verdict may come at the present pace: an estimate for a person who watches, never a rule.
 */
import { analyse } from "../analysis/analyse.js";
import type { ArmEvidence, Evidence, Moments } from "../analysis/evidence.js";
import type { DecisionInput, Finding } from "./decision.js";

/** A pace is read from the latest plan's exposures once it has been live this long; before that, from the start. */
const PACE_MIN_MS = 1_000;

/** Beyond this many times the present data the answer is "cannot say". */
const GROWTH_MAX = 1_024;

/** Units per ms that are exposed in an arm now; 0 = unknown. */
function pace({ evidence, status }: DecisionInput, arm: string): number {
	const batch = evidence.exposures.at(-1);
	if (batch !== undefined && evidence.asOfMs - batch.firstMs >= PACE_MIN_MS)
		return (batch.counts[arm] ?? 0) / (evidence.asOfMs - batch.firstMs);
	const elapsed = evidence.asOfMs - status.startedAtMs;
	return elapsed <= 0 ? 0 : (evidence.arms.find((entry) => entry.arm === arm)?.exposedUnits ?? 0) / elapsed;
}

/** Ms until an arm has `more` units; null while nothing arrives. */
export function expectedUnitsMs(input: DecisionInput, arm: string, more: number): number | null {
	const perMs = pace(input, arm);
	return perMs > 0 ? Math.ceil(more / perMs) : null;
}

/** The same evidence with `factor` times the units: what it would look like if nothing changed. */
function grown(evidence: Evidence, factor: number): Evidence {
	const grow = ({ n, mean, m2 }: Moments): Moments => ({ n: Math.round(n * factor), mean, m2: m2 * factor });
	const arms: ArmEvidence[] = evidence.arms.map((arm) => ({
		...arm,
		metrics: Object.fromEntries(Object.entries(arm.metrics).map(([name, moments]) => [name, grow(moments)])),
	}));
	return { ...evidence, arms, exposures: [] };
}

/**
 * Ms until some open challenger would have every claim proved if the means stayed as they are; null = cannot say
 * (they lie on the wrong side of a line, or too near).
 */
export function expectedProofMs(input: DecisionInput, findings: readonly Finding[]): number | null {
	const { experiment, metrics, status, evidence } = input;
	// More of the same proves nothing for an arm that stands on the wrong side of a line.
	const open = experiment.spec.arms.filter((arm) => {
		const own = findings.filter((finding) => finding.arm === arm.name);
		return own.length > 0 && own.every(({ improvement, line }) => improvement !== null && improvement > line);
	});
	if (open.length === 0) return null;
	const proved = (factor: number): boolean => {
		const { findings } = analyse({
			experiment,
			metrics,
			evidence: grown(evidence, factor),
			thresholds: status.thresholds,
			closedArms: status.closedArms,
			accepted: {},
		});
		return open.some((arm) => {
			const own = findings.filter((finding) => finding.arm === arm.name);
			return own.length > 0 && own.every((finding) => finding.verdict === "pass");
		});
	};
	let hi = 2;
	while (!proved(hi)) {
		hi *= 2;
		if (hi > GROWTH_MAX) return null;
	}
	let lo = hi / 2;
	for (let step = 0; step < 6; step++) {
		const middle = (lo + hi) / 2;
		if (proved(middle)) hi = middle;
		else lo = middle;
	}
	const units = evidence.arms.reduce((sum, arm) => sum + arm.maturedUnits, 0);
	const perMs = evidence.arms.reduce((sum, arm) => sum + pace(input, arm.arm), 0);
	return perMs > 0 ? Math.ceil(((hi - 1) * units) / perMs) : null;
}
