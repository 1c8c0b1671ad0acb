/** The plan of one claim as sentences for a product manager: assumptions, duration, detectable effect. */

import type { InferenceDesign } from "../../declare/resources/resource.js";
import { requestsToFreeze } from "../statistics/claim.js";
import type { ClaimPlan } from "./claimPlan.js";
import { isPossible, type PlanMetric, planLine, treatedMean } from "./planMetric.js";
import { chance, fromTo, levelOf, people, sizeOf, stretchOf, tenths, verbs } from "./planText.js";

export interface Spoken {
	readonly power: number;
	/** The end of the plan; null = unknown traffic. */
	readonly days: number | null;
	readonly design: InferenceDesign;
}

type Planned = Omit<ClaimPlan, "sentence">;

export function claimSentence(metric: PlanMetric, plan: Planned, spoken: Spoken): string {
	const words = metric.metric.spec.type === "quantile" ? ofQuantile(metric) : ofLevel(metric);
	return plan.looks === null
		? `${words.opening}${words.believed} ${takes(metric, plan, spoken, words)}${inTime(plan, spoken, words)}`
		: looked(plan, spoken, words);
}

interface Words {
	/** A first sentence about the question, if needed. */
	readonly opening: string;
	/** `If accuracy really rises by 5 points (from 78% to 83%),` */
	readonly believed: string;
	/** `that it rises by more than 0.5 points` */
	readonly claim: string;
	/** `a rise of 2.1 points or more is found` */
	readonly found: (value: number) => string;
	/** E.g. `of any size`, if nothing is detectable. */
	readonly nothing: string;
}

function ofLevel(metric: PlanMetric): Words {
	const { name, role, believed } = metric;
	const { better, worse } = verbs(metric);
	const line = planLine(metric);
	const level = levelOf(metric, metric.baselineMean);
	const moved = `${believed > 0 ? better : worse}s by ${sizeOf(metric, Math.abs(believed))} (${fromTo(metric, believed)})`;
	const words = {
		opening: "",
		believed: `If ${name} really ${believed === 0 ? `stays at ${level}` : moved},`,
	};
	if (role === "goal")
		return {
			...words,
			claim: `that it ${better}s ${line === 0 ? "at all" : `by more than ${sizeOf(metric, line)}`}`,
			found: (value) =>
				`a ${better} of ${sizeOf(metric, value)} or more is proved to be ${line === 0 ? "one" : `more than ${sizeOf(metric, line)}`}`,
			nothing: `no ${better}, however large, is proved`,
		};
	return {
		...words,
		claim: `that it does not ${worse} by ${sizeOf(metric, -line)} or more`,
		found: (value) => `a margin of ${sizeOf(metric, value)} or more can be proved kept`,
		nothing: "no margin, however wide, can be proved kept",
	};
}

function ofQuantile(metric: PlanMetric): Words {
	const { name, role, baselineMean, believed, effect } = metric;
	const q = `p${Number((100 - 100 * baselineMean).toFixed(3))}`;
	const share = (improvement: number): string => levelOf(metric, treatedMean(metric, improvement));
	const asked = effect.value === 0 ? "" : ` ${role === "goal" ? "less" : "plus"} ${stretchOf(metric)}`;
	const line = planLine(metric);
	return {
		opening: `${name}: the challenger's limit is the baseline's ${q}${asked}, set from ${people(requestsToFreeze(metric.metric.spec.quantile ?? 1 - baselineMean))} requests of the baseline before anybody is measured; of these ${share(0)} take longer than its ${q}. `,
		believed: `If ${share(believed)} of the challenger's requests are really slower than its limit,`,
		claim: `that ${line === 0 ? "fewer than" : "at most"} ${share(line)} are`,
		found: (value) => `this is proved of a challenger with ${share(value)} or fewer such requests`,
		nothing: "this is proved of no challenger, however fast",
	};
}

const BOTH = "people in the challenger and the baseline together";

function takes(metric: PlanMetric, { atPower, median }: Planned, { power, days }: Spoken, { claim }: Words): string {
	if (atPower.units === null) return `it can never be proved ${claim}${whyNever(metric)}.`;
	const half = median.units === null || power === 0.5 ? "" : ` (half of the time ${people(median.units)} do)`;
	const when =
		days === null
			? ""
			: atPower.day === null
				? "; so many never come at this traffic"
				: `; they have been measured by day ${tenths(atPower.day)}`;
	return `${people(atPower.units)} ${BOTH} prove with a chance of ${chance(power)} ${claim}${half}${when}.`;
}

function whyNever(metric: PlanMetric): string {
	const { believed, baselineMean } = metric;
	if (!(believed > planLine(metric))) return ": that is no more than what is asked";
	if (!isPossible(metric, believed)) return `: from ${levelOf(metric, baselineMean)} it cannot move so far`;
	return ": not even ten billion people would do";
}

function inTime({ detectable }: Planned, { power, days }: Spoken, { found, nothing }: Words): string {
	if (days === null) return "";
	const within = `In ${tenths(days)} ${days === 1 ? "day" : "days"}`;
	return ` ${within} ${detectable === null ? nothing : `${found(detectable)} with a chance of ${chance(power)}`}.`;
}

/** More looks than this are written as from … to …; the table has each. */
const DATES_MAX = 6;

/** For a goal with planned looks. */
function looked({ looks, detectable, fixedUnits }: Planned, { power, design }: Spoken, words: Words): string {
	if (looks === null || design.design === "sequential") return "";
	const { believed, claim, found, nothing } = words;
	const each = looks.looks;
	const last = each.at(-1);
	const dates = each.map(({ day }) => (day === null ? "never" : tenths(day)));
	const dated = dates.length > DATES_MAX ? `${dates[0]} to ${dates.at(-1)}` : dates.join(", ");
	const when = each.every(({ day }) => day === null) ? "" : ` (day ${dated})`;
	const often = each.length === 1 ? "once, when" : `${each.length} times, the last time when`;
	const opening = `The goal is looked at ${often} ${people(design.units)} people of all arms have been measured${when}.`;
	const proved = `${believed} ${each.length === 1 ? "this look proves" : "these looks prove"} with a chance of ${chance(last?.proved ?? 0)} ${claim}`;
	const mean =
		each.length === 1
			? ""
			: `, after ${people(looks.expectedUnits.believed)} people on average (${people(looks.expectedUnits.onLine)} if there is only just what is asked)`;
	const needs =
		looks.unitsForPower === null || fixedUnits === null
			? "No number of people would prove it."
			: `For a chance of ${chance(power)} write units: ${String(looks.unitsForPower)}${each.length === 1 ? "" : `, ${(looks.inflation ?? 1).toFixed(3)} times what a single look takes`}.`;
	const finds = `With ${people(design.units)} people ${detectable === null ? nothing : `${found(detectable)} with a chance of ${chance(power)}`}.`;
	return `${opening} ${proved}${mean}. ${needs} ${finds}`;
}
