/** No other rule applies: a hold with what is missing and an estimate of the time. */
import { claimedMetrics } from "../../../infer/statistics/claim.js";
import { unitsOfInformation } from "../../../infer/statistics/plannedLook.js";
import type { WaitsFor } from "../decision.js";
import { expectedUnitsMs } from "../expectation.js";
import { type Explanation, outcomeOf, type RuleFunction } from "../outcome.js";
import { duration, lackSentence, percent } from "../sentence.js";
import { shortageOf } from "../shortage.js";
import { called, count, undecided } from "../summary.js";
import { neededToFreeze, quantileToFreeze } from "./freezeThreshold.js";
import { leastInformed, nextLook, pairOf, provedByLook } from "./plannedLook.js";

export const wait = (...[input, analysis]: Parameters<RuleFunction>) => {
	const { experiment, metrics, status, nowMs } = input;
	const { stepsPpm, everyMs, minUnits } = experiment.spec.rollout;
	const at = percent(status.allocationPpm);
	const hold = (waitsFor: WaitsFor, missing: Explanation, expectedMs: number | null, lacks?: string) => {
		const explanation: Explanation = {
			get reason() {
				return `Holding at ${at}: ${missing.reason}.`;
			},
			get summary() {
				return `Waiting at ${at}: ${missing.summary}.`;
			},
		};
		return outcomeOf(input, analysis, ["hold", "wait"], explanation, {
			...{ waitsFor, expectedMs },
			...(lacks === undefined ? {} : { lacks }),
		});
	};
	const stepLeft = Math.max(0, everyMs - (nowMs - status.stepStartedAtMs));
	const unfrozen = claimedMetrics(experiment).filter((name) => {
		const metric = metrics[name];
		return metric !== undefined && quantileToFreeze(metric) !== null && status.thresholds[name] === undefined;
	});
	const [first] = unfrozen;
	if (first !== undefined) {
		const metric = metrics[first];
		const measured = input.baselineQuantiles?.[first];
		const needs = metric === undefined ? 0 : neededToFreeze(metric);
		const isQuantile = metric?.spec.type === "quantile";
		const what = isQuantile ? "latency threshold" : "cap";
		const limit = isQuantile ? "limit" : "cap";
		const rows = isQuantile ? "requests" : "values";
		return hold(
			"threshold",
			{
				reason: `the ${what} of ${unfrozen.join(", ")} is not frozen, the default variant has ${measured?.requests ?? 0} of ${needs} ${rows} and ${measured?.units ?? 0} of ${minUnits} units`,
				summary: `collecting ${count(needs)} ${rows} from ${count(minUnits)} people of the old version to set the ${limit} of ${unfrozen.map((name) => called(name, metrics[name])).join(", ")} (${count(measured?.requests ?? 0)} from ${count(measured?.units ?? 0)} so far)`,
			},
			null,
		);
	}
	const lack = shortageOf(input);
	const last = status.stepIndex + 1 >= stepsPpm.length;
	if (lack !== null) {
		const { explanation, lacks, expectedMs: more } = lack;
		return hold("units", explanation, more === null ? null : last ? more : Math.max(more, stepLeft), lacks);
	}
	if (!last)
		return hold(
			"step-time",
			{ reason: `${duration(stepLeft)} of this step are left`, summary: `this step lasts ${duration(stepLeft)} more` },
			stepLeft,
		);
	if (experiment.spec.goal === null)
		return hold(
			"person",
			{
				reason: "no goal is declared, so only a person promotes; no harm is proved",
				summary: "no harm was found; as no goal is set, a person decides",
			},
			null,
		);
	const look = nextLook(input);
	if (look !== null && provedByLook(status).length === 0) {
		const { arm, units } = leastInformed(input);
		const rest = look.units - units;
		const { metric } = experiment.spec.goal;
		const there = `matured units with ${metric}, the comparison of arm ${arm} has as much as ${units}`;
		const lacks = unitsOfInformation(experiment, arm, look.units) - pairOf(input, arm);
		const lacking =
			lacks === rest ? `${count(rest)} more people` : `${count(lacks)} more people of ${arm} and the old version`;
		return hold(
			"look",
			{
				reason: `planned look ${look.index + 1} of ${look.of} is at ${look.units} ${there}`,
				summary: `the result is looked at when ${lacking} have been measured, as planned`,
			},
			expectedUnitsMs(
				input,
				experiment.spec.arms.map(({ name }) => name),
				rest,
			),
		);
	}
	const open = analysis.findings.filter((finding) => finding.verdict !== "pass");
	return hold(
		"proof",
		{
			get reason() {
				return open.map(lackSentence).join("; ");
			},
			get summary() {
				return open.map((finding) => undecided(finding, input)).join("; ");
			},
		},
		null,
	);
};
