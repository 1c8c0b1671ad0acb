/**
 * Evidence and declaration in, findings and sample ratio out. Pure and deterministic: the same aggregates give the
 * same bytes.
 *
 * Method by metric: errors and outcome rates by the Bernoulli mixture on the unit's share; a latency quantile by
 * the Bernoulli mixture on the share of the unit's requests slower than a frozen threshold; means by AsympCS.
 *
 * A quantile is tested with two samples: challenger's slow share − baseline's slow share against 1 − q, not the
 * challenger's alone. The threshold T = (1 + margin)·(baseline quantile) was frozen earlier; when the whole system
 * slows down later, both arms exceed T more often and the difference cancels it, while a one-sample test would roll
 * back an innocent arm. By construction a challenger whose quantile is at its margin has 1 − q of its requests
 * above T. The baseline's own share above T is below 1 − q and makes the test lenient by as much (with p99 and a
 * margin of 100 % usually by 0.1 pp of 1 pp); it stands in the finding for a person to see.
 *
 * Never a pass by absence: no data, too few units, zero variance of a mean, a missing threshold are `unknown`. Zero
 * errors in both arms are data: the mixture's width at zero is exact.
 */

import type { Experiment, Metric } from "../resources/resource.js";
import { alphaEach, type Claim, claims } from "./claim.js";
import type { Evidence, Moments } from "./evidence.js";
import type { Finding } from "./finding.js";
import { ASYMPCS_MIN_UNITS, contrastInterval, ratioInterval } from "./sequential/asympCs.js";
import { differenceBounds, ratioBounds } from "./sequential/bernoulliBounds.js";
import {
	type ArmShares,
	type BetaPrior,
	logEvidenceBelow,
	PRIOR_RARE,
	PRIOR_RATE,
	type Sample,
} from "./sequential/bernoulliMixture.js";
import { type ExposureCounts, exposuresSince, type SampleRatio, sampleRatio } from "./sequential/srm.js";

export interface AnalysisInput {
	readonly experiment: Experiment;
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly evidence: Evidence;
	/** Metrics with a frozen latency threshold. */
	readonly thresholds: Readonly<Record<string, unknown>>;
	/** Challengers no longer in play: no findings for them. */
	readonly closedArms: readonly string[];
	/** Exposures that no longer count for the sample ratio; empty = all count. */
	readonly accepted: ExposureCounts;
}

export interface Analysis {
	readonly findings: readonly Finding[];
	/** null: nothing to test yet. */
	readonly srm: SampleRatio | null;
}

const NO_DATA: Moments = { n: 0, mean: 0, m2: 0 };

/** All findings in declared order, and the sequential sample-ratio test. */
export function analyse(input: AnalysisInput): Analysis {
	const alpha = alphaEach(input.experiment);
	const baseline = input.experiment.spec.arms.find((arm) => arm.baseline)?.name ?? "";
	const findings = claims(input.experiment, input.metrics)
		.filter((claim) => !input.closedArms.includes(claim.arm))
		.map((claim) => {
			const c = momentsOf(input.evidence, baseline, claim.metricName);
			const t = momentsOf(input.evidence, claim.arm, claim.metricName);
			return testClaim(claim, t, c, alpha, input);
		});
	return { findings, srm: sampleRatio(exposuresSince(input.evidence.exposures, input.accepted)) };
}

function momentsOf(evidence: Evidence, arm: string, metric: string): Moments {
	return evidence.arms.find((entry) => entry.arm === arm)?.metrics[metric] ?? NO_DATA;
}

/** What a method says of one claim on the claim's own scale. */
interface Measured {
	readonly improvement: number | null;
	readonly lower: number;
	readonly upper: number;
}

function testClaim(claim: Claim, t: Moments, c: Moments, alpha: number, input: AnalysisInput): Finding {
	const { metric, role, effect } = claim;
	const quantile = metric?.spec.type === "quantile" ? metric.spec.quantile : null;
	const method = usesMixture(metric) ? "bernoulli-mixture" : "asympcs";
	const line = lineOf(claim, quantile);
	const base = {
		metric: claim.metricName,
		arm: claim.arm,
		role,
		method,
		baseline: { n: c.n, mean: c.mean },
		challenger: { n: t.n, mean: t.mean },
		line,
		alpha,
	} as const;
	const unknown = (note: string): Finding => ({
		...base,
		improvement: null,
		lower: null,
		upper: null,
		verdict: "unknown",
		note,
	});

	const obstacle = obstacleTo(claim, t, c, method, input);
	if (obstacle !== "" || metric === null) return unknown(obstacle);
	// Slower is worse whatever the metric's direction says of its raw value.
	const sign = quantile !== null || metric.spec.direction === "down" ? -1 : 1;
	const relative = quantile === null && effect.kind === "relative";
	const measured =
		method === "bernoulli-mixture"
			? byMixture(t, c, sign, relative, alpha, {
					prior: metric.spec.source === "outcome" ? PRIOR_RATE : PRIOR_RARE,
					shares: sharesOf(input.experiment, claim.arm),
				})
			: byAsympCs(t, c, sign, relative, alpha);
	if (measured === null) return unknown("the baseline's mean is not clearly above 0, so a share of it means nothing");

	const harmLine = role === "goal" ? 0 : line;
	let verdict: Finding["verdict"] = "open";
	if (measured.upper < harmLine) verdict = "harm";
	else if (measured.lower > line && (role === "guardrail" || quantile === null || quantileBelow(t, quantile, alpha)))
		verdict = "pass";
	return { ...base, ...measured, verdict, note: "" };
}

/** Line on the finding's scale. A goal on a quantile has its size in the threshold; what is left to show is 0. */
function lineOf({ role, effect }: Claim, quantile: number | null): number {
	if (quantile !== null) return role === "goal" ? 0 : -(1 - quantile);
	return role === "goal" ? effect.value : -effect.value;
}

function usesMixture(metric: Metric | null): boolean {
	// AsympCS on rare events is unsafe (statistics.md 2.0), so failures never go there, whatever the declared type.
	return metric === null || metric.spec.type !== "mean" || metric.spec.source === "errors";
}

/** Why the claim cannot be tested, or empty. */
function obstacleTo(claim: Claim, t: Moments, c: Moments, method: Finding["method"], input: AnalysisInput): string {
	const { metric, metricName, role } = claim;
	if (metric === null) return `there is no Metric ${metricName}`;
	if (metric.spec.type === "ratio") return "ratio metrics have no sequential test yet";
	if (metric.spec.type === "quantile") {
		if (metric.spec.quantile === null) return "the Metric names no quantile";
		if (input.thresholds[metricName] === undefined) return "the latency threshold is not frozen yet";
		if (role === "goal" && input.experiment.spec.guardrails.some((guardrail) => guardrail.metric === metricName))
			return "the metric's one threshold serves the guardrail; declare a second Metric for the goal";
	}
	if (c.n === 0 || t.n === 0) return `no data in ${c.n === 0 ? "the baseline" : claim.arm}`;
	if (method === "bernoulli-mixture") {
		const outside = [t, c].some(({ mean }) => !(mean >= -1e-9 && mean <= 1 + 1e-9));
		return outside ? "values outside [0, 1] in a rate" : "";
	}
	if (![t.mean, c.mean, t.m2, c.m2].every(Number.isFinite)) return "values too large for double precision";
	if (t.n < ASYMPCS_MIN_UNITS || c.n < ASYMPCS_MIN_UNITS)
		return `a mean needs ${ASYMPCS_MIN_UNITS} units per arm, there are ${Math.min(t.n, c.n)}`;
	if (!(t.m2 > 0 && c.m2 > 0)) return "zero variance";
	return "";
}

const sampleOf = ({ n, mean }: Moments): Sample => ({ n, sum: n * mean });

/** What the mixture fixes before any data. */
interface Design {
	readonly prior: BetaPrior;
	readonly shares: ArmShares;
}

/** Units of the two arms by declaration: every allocation splits them by weight, and a running experiment keeps it. */
function sharesOf(experiment: Experiment, challenger: string): ArmShares {
	const weight = (name: string | undefined): number =>
		Math.max(1, experiment.spec.arms.find((arm) => arm.name === name)?.weight ?? 1);
	return {
		challenger: weight(challenger),
		baseline: weight(experiment.spec.arms.find((arm) => arm.baseline)?.name),
	};
}

function byMixture(
	t: Moments,
	c: Moments,
	sign: 1 | -1,
	relative: boolean,
	alpha: number,
	{ prior, shares }: Design,
): Measured {
	if (!relative) {
		const { lower, upper } = differenceBounds(sampleOf(t), sampleOf(c), alpha, prior, shares);
		return turned(t.mean - c.mean, lower, upper, sign);
	}
	const { lower, upper } = ratioBounds(sampleOf(t), sampleOf(c), alpha, prior, shares);
	const ratio = c.mean > 0 ? t.mean / c.mean - 1 : null;
	return turned(ratio, lower - 1, upper - 1, sign);
}

function byAsympCs(t: Moments, c: Moments, sign: 1 | -1, relative: boolean, alpha: number): Measured | null {
	if (!relative) {
		const { estimate, lower, upper } = contrastInterval(t, c, 1, alpha);
		return turned(estimate, lower, upper, sign);
	}
	const interval = ratioInterval(t, c, alpha);
	return interval === null ? null : turned(t.mean / c.mean - 1, interval.lower - 1, interval.upper - 1, sign);
}

/** Turns a difference so that positive is better. */
function turned(estimate: number | null, lower: number, upper: number, sign: 1 | -1): Measured {
	if (sign === 1) return { improvement: estimate, lower, upper };
	return { improvement: estimate === null ? null : 0 - estimate, lower: 0 - upper, upper: 0 - lower };
}

/**
 * A goal "the q-quantile falls by r": besides beating the baseline's slow share, the challenger's own share above
 * T = (1 − r)·(baseline quantile) must be proved below 1 − q, which is the same as its quantile lying below T.
 */
function quantileBelow(t: Moments, quantile: number, alpha: number): boolean {
	return logEvidenceBelow(sampleOf(t), 1 - quantile, PRIOR_RARE) >= -Math.log(alpha);
}
