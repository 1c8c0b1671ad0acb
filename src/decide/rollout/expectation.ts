/** Estimates when the next verdict comes at the current pace. For display only; no rule uses it. */
import { sharesAgainstLine } from "../../infer/statistics/compareShares.js";
import type { DecisionInput, Finding } from "./decision.js";

/** The pace comes from the latest plan's exposures once it has been live this long; before that, from all exposures. */
const PACE_MIN_MS = 1_000;

/** Beyond this many times the current data the estimate is unknown. */
const GROWTH_MAX = 1_024;

/** Units exposed in an arm, per ms; 0 = unknown. */
function pace({ evidence, status }: DecisionInput, arm: string): number {
	const batch = evidence.exposures.at(-1);
	if (batch !== undefined && evidence.asOfMs - batch.firstMs >= PACE_MIN_MS)
		return (batch.counts[arm] ?? 0) / (evidence.asOfMs - batch.firstMs);
	const elapsed = evidence.asOfMs - status.startedAtMs;
	return elapsed <= 0 ? 0 : (evidence.arms.find((entry) => entry.arm === arm)?.exposedUnits ?? 0) / elapsed;
}

/** Milliseconds until an arm has `more` units; null = no units arrive. */
export function expectedUnitsMs(input: DecisionInput, arm: string, more: number): number | null {
	const perMs = pace(input, arm);
	return perMs > 0 ? Math.ceil(more / perMs) : null;
}

/**
 * Milliseconds until the first open challenger has every claim proved if the levels do not change; null = unknown (a level
 * is on the wrong side of its line, or too near to it).
 *
 * ln e is x, the log likelihood ratio between the observed level and the line, which grows with the units, less a price that
 * grows with half their logarithm. So f times the units prove a claim when f·x − (x − ln e) − ½ ln f reaches ln(1/alpha).
 */
export function expectedProofMs(input: DecisionInput, findings: readonly Finding[]): number | null {
	const { experiment, evidence } = input;
	let least = Number.POSITIVE_INFINITY;
	for (const arm of experiment.spec.arms) {
		const own = findings.filter((finding) => finding.arm === arm.name);
		if (own.length === 0) continue;
		least = Math.min(least, Math.max(...own.map((finding) => growth(input, finding))));
	}
	if (!(least <= GROWTH_MAX)) return null;
	const units = evidence.arms.reduce((sum, arm) => sum + arm.maturedUnits, 0);
	const perMs = evidence.arms.reduce((sum, arm) => sum + pace(input, arm.arm), 0);
	return perMs > 0 ? Math.ceil(((least - 1) * units) / perMs) : null;
}

/** The factor of units that proves the claim; Infinity = more units of the same level do not prove it. */
function growth(input: DecisionInput, finding: Finding): number {
	const { improvement, line, verdict, alpha, logE, standardError, note } = finding;
	if (verdict === "pass") return 1;
	// A quantile has a further condition (quantileGrid.ts), with its own pace.
	if (note !== "" && verdict === "open") return Number.POSITIVE_INFINITY;
	if (verdict !== "open" || improvement === null || !(improvement > line)) return Number.POSITIVE_INFINITY;
	const metric = input.metrics[finding.metric];
	if (metric === undefined || logE === undefined || logE === null) return Number.POSITIVE_INFINITY;
	const x =
		standardError === undefined || standardError === null
			? sharesAgainstLine(metric, finding)
			: ((improvement - line) / standardError) ** 2 / 2;
	// AsympCS has exp(x) − 1 instead of exp(x); with more units the difference vanishes.
	const price = x - logE + (finding.method === "asympcs" ? Math.log(-Math.expm1(0 - x)) : 0);
	const needed = Math.max(0, price) - Math.log(alpha);
	let factor = 1;
	for (let step = 0; step < 8; step++) factor = Math.max(1, (needed + Math.log(factor) / 2) / x);
	return factor;
}
