/**
 * Computes findings and the sample-ratio test from evidence and declaration. Deterministic: the same aggregates give the same
 * bytes.
 *
 * Missing data never pass: no data, too few units, zero variance of a mean, a missing threshold and impossible numbers are
 * `unknown` with a reason. Zero errors in both arms are data: the mixture's width at zero is exact.
 */

import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { type Claim, claims, type Levels, levels, levelsInEra } from "./claim.js";
import { mayBeBelow } from "./compareShares.js";
import { compare } from "./comparison.js";
import type { Evidence, MetricEvidence } from "./evidence.js";
import { type Finding, type FindingLook, type Method, storedBound } from "./finding.js";
import { baselineMoved, mayHarm, passIsNear } from "./frozenReference.js";
import { type HeldBack, type HoldbackQuestions, holdbackQuestions } from "./holdback.js";
import {
	baselineOf,
	harmLineOf,
	isHarm,
	isMeasured,
	isRelative,
	lineOf,
	methodOf,
	type Question,
	questionOf,
	thresholdsOf,
} from "./question.js";
import { segmentHarms } from "./segmentHarm.js";
import { type ExposureCounts, exposuresSince, type SampleRatio, sampleRatio } from "./sequential/srm.js";
import { ofRequests } from "./slowShare.js";
import { NO_MOMENTS } from "./statistics/moments.js";

export interface AnalysisInput {
	readonly experiment: Experiment;
	readonly metrics: Readonly<Record<string, Metric>>;
	readonly evidence: Evidence;
	/** Metrics with a frozen latency threshold or cap. */
	readonly thresholds: Readonly<Record<string, unknown>>;
	/** Closed challengers: no findings for them. */
	readonly closedArms: readonly string[];
	/** Exposures excluded from the sample-ratio test; empty = none. */
	readonly accepted: ExposureCounts;
	/** By arm, see Finding.look. For designs with planned looks only: there only a look proves the goal. */
	readonly looks?: Readonly<Record<string, FindingLook>>;
	/** Set if the evidence has only units first exposed in a holdback. */
	readonly heldBack?: HeldBack | null;
}

export interface Analysis {
	/** All claims over all units in declared order, then harms in segments. */
	readonly findings: readonly Finding[];
	/** null = no data yet. */
	readonly srm: SampleRatio | null;
	/** Metrics with an unknown claim because the baseline changed after their thresholds were frozen. */
	readonly moved: readonly string[];
}

/** The analysis without evidence. */
export const NOTHING: Analysis = { findings: [], srm: null, moved: [] };

/** All findings, and the sequential sample-ratio test. */
export function analyse(asked: AnalysisInput): Analysis {
	const own = holdbackOf(asked);
	// Looks from before a holdback do not count in it.
	const input = own === null ? asked : { ...asked, ...own, looks: {} };
	const { experiment, metrics, evidence } = input;
	const shared = own?.levels ?? levels(experiment);
	const all = claims(experiment, metrics, input.thresholds);
	const open = input.closedArms.length === 0 ? all : all.filter(({ arm }) => !input.closedArms.includes(arm));
	const baseline = baselineOf(experiment);
	const findings: Finding[] = [];
	const moved: string[] = [];
	for (const claim of open) {
		const t = metricIn(evidence, claim.arm, claim.metricName);
		const c = metricIn(evidence, baseline, claim.metricName);
		const finding = testClaim(claim, t, c, levelsInEra(shared, claim), input);
		const look = claim.role === "goal" && isPlanned(input) ? lookOf(input, claim.arm) : null;
		if (look !== null) Object.defineProperty(finding, "look", { value: look, enumerable: true });
		const lost = finding.verdict === "unknown" && isLost(claim, c, experiment);
		if (lost && !moved.includes(claim.metricName)) moved.push(claim.metricName);
		findings.push(finding);
	}
	// Thresholds that are outdated for all units are outdated for segments.
	const current = moved.length === 0 ? open : open.filter(({ metricName }) => !moved.includes(metricName));
	findings.push(...segmentHarms(current, experiment, evidence, shared));
	return { findings, srm: sampleRatio(exposuresSince(evidence.exposures, input.accepted)), moved };
}

function holdbackOf({ heldBack, experiment, metrics, thresholds }: AnalysisInput): HoldbackQuestions | null {
	return heldBack == null ? null : holdbackQuestions(experiment, metrics, thresholds, heldBack);
}

function metricIn(evidence: Evidence, arm: string, metric: string): MetricEvidence {
	for (const entry of evidence.arms) if (entry.arm === arm) return entry.metrics[metric] ?? NO_MOMENTS;
	return NO_MOMENTS;
}

function testClaim(claim: Claim, t: MetricEvidence, c: MetricEvidence, shared: Levels, input: AnalysisInput): Finding {
	const { metric, effect } = claim;
	const method = metric === null ? "bernoulli-mixture" : methodOf({ metric, effect }, [t, c]);
	const obstacle = obstacleTo(claim, t, c, input);
	if (obstacle !== "" || metric === null)
		return findingOf(claim, method, shared, unmeasured(t, c), "unknown", obstacle);
	const question = questionOf(claim, metric, input.experiment, shared.pass, shared.harm);
	const measured = compare(question, t, c);
	if (!isMeasured(measured)) return findingOf(claim, method, shared, unmeasured(t, c), "unknown", measured.note);
	let verdict: Finding["verdict"] = "open";
	const harmLine = harmLineOf(question, metric);
	// The search for the bound is expensive; for most claims one null point shows that it is useless.
	const may = (): boolean =>
		(method !== "bernoulli-mixture" || mayBeBelow(question, t, c, harmLine)) &&
		mayHarm(claim.reference, thresholdsOf(question), t, c, shared.harm);
	if (isHarm(measured, harmLine, may)) verdict = "harm";
	else if (isProved(question, measured.logE, t, c, claim.arm, input)) verdict = "pass";
	else if (isLost(claim, c, input.experiment))
		return findingOf(claim, method, shared, unmeasured(t, c), "unknown", movedNote(claim, c));
	const shareProved = claim.reference?.grid === true && measured.logE >= -Math.log(shared.pass);
	const note =
		verdict === "open" && shareProved && !(claim.role === "goal" && isPlanned(input)) ? OPEN_AT_QUANTILE : "";
	return findingOf(claim, method, shared, measured, verdict, note);
}

/** For a claim that passes at the frozen thresholds. */
const OPEN_AT_QUANTILE =
	"proved above the frozen thresholds, but not yet for every place where the baseline's own quantile may lie";

/** The proved direction of the baseline's change since the claim's thresholds were frozen; null = no proof. */
function movement(
	{ reference, metric }: Pick<Claim, "reference" | "metric">,
	c: MetricEvidence,
): "slower" | "faster" | null {
	return reference === null || metric === null || c.n === 0 ? null : baselineMoved(reference, c);
}

/**
 * Whether a claim without a verdict must be dropped. Not a goal with planned looks: each look is made once, with the
 * thresholds of its time.
 */
function isLost(claim: Claim, c: MetricEvidence, { spec }: Experiment): boolean {
	if (claim.role === "goal" && spec.rollout.inference.design !== "sequential") return false;
	return movement(claim, c) !== null;
}

function movedNote({ reference }: Claim, c: MetricEvidence): string {
	if (reference === null) return "";
	const { quantile, referenceMs } = reference;
	const share = ofRequests(`${Number((c.mean * 100).toPrecision(3))}%`);
	return `the baseline itself has moved: ${share} are slower than ${Number(referenceMs.toPrecision(4))} ms, which was its quantile ${quantile} when the thresholds were frozen; nothing can be concluded until they are frozen again`;
}

/** A finding without a test: only the levels. */
function unmeasured({ n, mean }: MetricEvidence, c: MetricEvidence): FindingNumbers {
	return {
		improvement: null,
		lower: null,
		upper: null,
		standardError: null,
		logE: null,
		baseline: { n: c.n, mean: c.mean },
		challenger: { n, mean },
	};
}

type FindingNumbers = Required<
	Pick<Finding, "improvement" | "lower" | "upper" | "standardError" | "logE" | "baseline" | "challenger">
>;

/** One literal without a spread: V8 creates it in less than 0.1 µs instead of 10. */
function findingOf(
	claim: Claim,
	method: Method,
	{ pass, harm }: Levels,
	numbers: FindingNumbers,
	verdict: Finding["verdict"],
	note: string,
): Finding {
	const { metric, metricName, arm, role, effect } = claim;
	const exact = method !== "asympcs";
	const finding: Finding = {
		metric: metricName,
		arm,
		role,
		method,
		baseline: numbers.baseline,
		challenger: numbers.challenger,
		line: lineOf(claim, metric),
		relative: metric === null ? false : isRelative({ metric, effect }),
		alpha: pass,
		harmAlpha: harm,
		improvement: numbers.improvement,
		lower: exact ? null : storedBound(numbers.lower),
		upper: exact ? null : storedBound(numbers.upper),
		standardError: numbers.standardError,
		logE: numbers.logE,
		verdict,
		note,
	};
	if (claim.slow !== null) Object.defineProperty(finding, "slow", { value: claim.slow, enumerable: true });
	if (!exact) return finding;
	// Exact bounds are expensive and rarely read, so they are lazy.
	return Object.defineProperties(finding, {
		lower: { get: () => storedBound(numbers.lower), enumerable: true },
		upper: { get: () => storedBound(numbers.upper), enumerable: true },
	});
}

const isPlanned = ({ experiment }: AnalysisInput): boolean => experiment.spec.rollout.inference.design !== "sequential";

const lookOf = ({ looks = {} }: AnalysisInput, arm: string): FindingLook | null => looks[arm] ?? null;

/** Whether a planned look has proved the goal. */
export function isProvedBy(look: FindingLook | null): boolean {
	return look !== null && look.z !== null && look.z >= look.boundary;
}

function isProved(
	question: Question,
	logE: number,
	t: MetricEvidence,
	c: MetricEvidence,
	arm: string,
	input: AnalysisInput,
): boolean {
	const { role, reference } = question;
	if (role === "goal" && isPlanned(input)) return isProvedBy(lookOf(input, arm));
	if (!(logE >= -Math.log(question.alpha))) return false;
	return reference === null || passIsNear(reference, thresholdsOf(question), t, c, question.alpha);
}

/** Why the claim cannot be tested, or empty. */
function obstacleTo(claim: Claim, t: MetricEvidence, c: MetricEvidence, input: AnalysisInput): string {
	const { metric, metricName, role, arm } = claim;
	if (metric === null) return `there is no Metric ${metricName}`;
	const { type, source, quantile, cap } = metric.spec;
	if (type === "ratio" && source !== "outcome") return "ratio metrics are of outcomes";
	if (type === "quantile") {
		if (quantile === null) return "the Metric names no quantile";
		if (input.thresholds[metricName] === undefined) return "the latency threshold is not frozen yet";
		if (role === "goal" && input.experiment.spec.guardrails.some((guardrail) => guardrail.metric === metricName))
			return "the metric's one threshold serves the guardrail; declare a second Metric for the goal";
	}
	if (cap !== null && "quantile" in cap && input.thresholds[metricName] === undefined)
		return "the cap is not frozen yet";
	if (c.n === 0 || t.n === 0) return `no data in ${c.n === 0 ? "the baseline" : arm}`;
	return "";
}
