/** The plan of one claim as one sentence for a product manager; the table of `weir plan` has the numbers behind it. */

import type { InferenceDesign } from "../../declare/resources/resource.js";
import type { ClaimPlan } from "./claimPlan.js";
import { isPossible, type PlanMetric, planLine, treatedMean } from "./planMetric.js";
import { chance, levelOf, people, sizeOf, stretchOf, tenths, verbs } from "./planText.js";

interface Terms {
	readonly power: number;
	readonly design: InferenceDesign;
	/** Whether a day can be given. */
	readonly trafficKnown: boolean;
}

type Planned = Omit<ClaimPlan, "sentence">;

/** `accuracy: by day 0.9, 6,000 people show with 95.7% probability that it rises by more than 0.5 points`, and what to change if not. */
export function claimSentence(metric: PlanMetric, plan: Planned, { power, design, trafficKnown }: Terms): string {
	const claim = metric.metric.spec.type === "quantile" ? quantileClaim(metric) : levelClaim(metric);
	const { looks, atPower } = plan;
	if (looks === null || design.design === "sequential")
		return atPower.units === null
			? `${metric.name}: no number of people can show that ${claim}${whyNever(metric)}.`
			: `${metric.name}: ${by(atPower.day)}${people(atPower.units)} people show with ${chance(power)} probability that ${claim}${trafficKnown && atPower.day === null ? "; so many never come at this traffic" : ""}.`;
	const last = looks.looks.at(-1);
	const shown = `${metric.name}: ${by(last?.day ?? null)}${people(design.units)} people show with ${chance(last?.proved ?? 0)} probability that ${claim}`;
	const average = looks.looks.length === 1 ? "" : `; on average ${people(looks.expectedUnits.believed)} are enough`;
	const needed =
		looks.unitsForPower === null
			? "No number of people is enough"
			: `For ${chance(power)} write units: ${String(looks.unitsForPower)}`;
	return `${shown}${average}. ${needed}.`;
}

const by = (day: number | null): string => (day === null ? "" : `by day ${tenths(day)}, `);

/** `it rises by more than 0.5 points` */
function levelClaim(metric: PlanMetric): string {
	const { better, worse } = verbs(metric);
	const line = planLine(metric);
	if (metric.role !== "goal") return `it does not ${worse} by ${sizeOf(metric, -line)} or more`;
	return line === 0 ? `it ${better}s` : `it ${better}s by more than ${sizeOf(metric, line)}`;
}

/** `at most 1.25% of requests are slower than the baseline's p99 plus 100%` */
function quantileClaim(metric: PlanMetric): string {
	const { role, baselineMean, effect } = metric;
	const line = planLine(metric);
	const share = levelOf(metric, treatedMean(metric, line));
	const limit = effect.value === 0 ? "" : ` ${role === "goal" ? "less" : "plus"} ${stretchOf(metric)}`;
	const quantile = Number((100 - 100 * baselineMean).toFixed(3));
	return `${line === 0 ? "fewer than" : "at most"} ${share} of requests are slower than the baseline's p${quantile}${limit}`;
}

function whyNever(metric: PlanMetric): string {
	const { believed, baselineMean } = metric;
	if (!(believed > planLine(metric))) return ": the assumed effect is no larger than the target";
	if (!isPossible(metric, believed)) return `: from ${levelOf(metric, baselineMean)} it cannot move so far`;
	return ": not even ten billion are enough";
}
