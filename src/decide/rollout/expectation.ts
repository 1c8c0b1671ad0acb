/**
 * When the next verdict may come at the present pace: an estimate for a person who watches, never a rule.
 */
import { sharesAgainstLine } from "../../infer/statistics/compareShares.js";
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

/**
 * Ms until some open challenger would have every claim proved if the levels stayed as they are; null = cannot say
 * (they lie on the wrong side of a line, or too near).
 *
 * Of ln e a part grows with the units, the log of the likelihood ratio between what is seen and the line; from it a
 * price is taken that grows as half their logarithm only. So f times the units prove a claim when
 * f·x − (x − ln e) − ½ ln f reaches ln(1/alpha).
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

/** How many times the present units prove the claim; Infinity where more of the same proves nothing. */
function growth(input: DecisionInput, finding: Finding): number {
	const { improvement, line, verdict, alpha, logE, standardError, note } = finding;
	if (verdict === "pass") return 1;
	// Proved but for what a quantile needs besides (quantileGrid.ts): its pace is another.
	if (note !== "" && verdict === "open") return Number.POSITIVE_INFINITY;
	if (verdict !== "open" || improvement === null || !(improvement > line)) return Number.POSITIVE_INFINITY;
	const metric = input.metrics[finding.metric];
	if (metric === undefined || logE === undefined || logE === null) return Number.POSITIVE_INFINITY;
	const x =
		standardError === undefined || standardError === null
			? sharesAgainstLine(metric, finding)
			: ((improvement - line) / standardError) ** 2 / 2;
	// AsympCS has exp(x) − 1 in the place of exp(x); what that costs is gone with more units.
	const price = x - logE + (finding.method === "asympcs" ? Math.log(-Math.expm1(0 - x)) : 0);
	const needed = Math.max(0, price) - Math.log(alpha);
	let factor = 1;
	for (let step = 0; step < 8; step++) factor = Math.max(1, (needed + Math.log(factor) / 2) / x);
	return factor;
}
