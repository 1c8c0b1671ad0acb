/**
 * Declarations that change the rules of an Experiment that runs, and what they take beside `apply`; they wait where it waits.
 * - `promote`: what lowers its bar, so that an arm is promoted, or more people are exposed, where by the old rules they were
 *   not yet, in the takeover too: nobody gets more by it than by `weir promote`, and gates are asked as before. Other rules by
 *   which a bandit moves people. What lets less harm be seen, or later: a smaller alpha, which harm shares with the promotion,
 *   thresholds that are frozen anew or later, as an era of them has a part of it, and a longer timeout of its Service. What
 *   lets less harm, or none, freeze it. And other senders of a Metric that it is judged by, a ratio's denominator too: who
 *   posts outcomes moves traffic, and who posts none any more hides harm.
 * - `abort`: what lets less harm, or none, close an arm or roll all of it back; steps by which fewer people are in it at once.
 * - both: a sooner end.
 *
 * What raises the bar, or moves nothing, is an apply like any other; what may not change at all is refused before
 * (resources/change.ts). Pure.
 */
import { isDeepStrictEqual } from "node:util";
import { levels } from "../../analysis/claim.js";
import { PPM } from "../../limits.js";
import { metricsJudging } from "../../resources/judgedBy.js";
import { experimentsOf, findQualified, grouping } from "../../resources/lookup.js";
import {
	type Effect,
	type Experiment,
	type Metric,
	qualifiedName,
	type Resource,
	type Rollout,
} from "../../resources/resource.js";
import { countedTimeoutMs, settleMs } from "../../resources/settle.js";
import { applyExperiment, thresholdsLost } from "../../rollout/declaration.js";
import type { State } from "../../rollout/ports.js";
import { duration, percent } from "../../rollout/sentence.js";
import { type ExperimentStatus, isExposing } from "../../rollout/status.js";
import { running } from "../acts/crossCheck.js";

export interface PromotionEased {
	readonly namespace: string;
	/** `makes a promotion by Experiment trial easier: alpha, guardrail errors`, `ends Experiment trial sooner: maxDuration` */
	readonly effect: string;
	/** All of them are taken. */
	readonly verbs: readonly ("promote" | "abort")[];
}

/** @param changed after null = deleted, which nobody does to an Experiment that runs */
export function promotionsEased(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource; readonly after: Resource | null }[],
): readonly PromotionEased[] {
	const live = running(status);
	const beforeAndAfter = [
		...resources.metrics,
		...changed.flatMap(({ after }) => (after?.kind === "Metric" ? [after] : [])),
	];
	const runs = resources.experiments.filter(({ metadata }) => live.has(qualifiedName(metadata)));
	// Once for all Metrics of a change, which may be thousands in front of thousands of Experiments.
	const byMetric = grouping<Experiment>((one) => metricsJudging(one, beforeAndAfter));
	const judgedBy = ({ metadata }: Metric): readonly string[] =>
		(byMetric(runs).get(qualifiedName(metadata)) ?? []).map((one) => qualifiedName(one.metadata));
	const isJudgedBy = (one: Experiment, some: (metric: Metric["spec"]) => boolean): boolean =>
		metricsJudging(one, resources.metrics)
			.flatMap((name) => findQualified(resources.metrics, name) ?? [])
			.some(({ spec }) => some(spec));
	/** Whether what judges it is measured from so many units on, a quantile or a cap, and it sees no harm in it before. */
	const isFrozenFirst = (one: Experiment): boolean =>
		isJudgedBy(one, ({ type, cap }) => type === "quantile" || cap !== null);
	return changed.flatMap(({ before, after }): PromotionEased[] => {
		if (before.kind === "Metric" && after?.kind === "Metric") {
			const without = ({ spec }: Metric, other: Metric): string =>
				spec.senders.filter((sender) => !other.spec.senders.includes(sender)).join(", ");
			const [added, gone] = [without(after, before), without(before, after)];
			const may = [
				...(added === "" ? [] : [`lets ${added} post`]),
				...(gone === "" ? [] : [`lets ${gone} no longer post`]),
			];
			return (may.length === 0 ? [] : judgedBy(before)).map((name) => ({
				namespace: before.metadata.namespace,
				effect: `${may.join(" and ")} ${qualifiedName(before.metadata)}, which Experiment ${name} is judged by`,
				verbs: ["promote"],
			}));
		}
		if (before.kind === "Service" && after?.kind === "Service") {
			const [old, now] = [before.spec.timeoutMs, after.spec.timeoutMs];
			const service = qualifiedName(before.metadata);
			return experimentsOf(runs, before).flatMap((one): PromotionEased[] => {
				const name = qualifiedName(one.metadata);
				// Back to one that it had it waits no longer than it did: who has set one too short sets it right.
				const had = Math.max(countedTimeoutMs(old), status.experiments[name]?.longestTimeoutMs ?? 0);
				// For as long a request may last, and nothing is known of its unit.
				const isLater = ({ source }: Metric["spec"]): boolean => settleMs(source, now) > settleMs(source, had);
				if (!isJudgedBy(one, isLater)) return [];
				const longest = had > countedTimeoutMs(old) ? `, the longest since it began being ${duration(had)}` : "";
				const effect = `lets Experiment ${name} see harm later: timeout of Service ${service} from ${timeoutWords(old)} to ${timeoutWords(now)}${longest}`;
				return [{ namespace: before.metadata.namespace, effect, verbs: ["promote"] }];
			});
		}
		if (before.kind !== "Experiment" || after?.kind !== "Experiment") return [];
		const name = qualifiedName(before.metadata);
		const stands = status.experiments[name];
		if (stands === undefined || !live.has(name)) return [];
		const [was, is] = [before.spec.rollout, after.spec.rollout];
		const anew = thresholdsLost(before, after, stands);
		const ends = [
			...(endOf(after.spec) < endOf(before.spec) ? ["maxDuration"] : []),
			...(was.onInconclusive === "pause" && is.onInconclusive === "keep-default" ? ["onInconclusive"] : []),
		];
		const effects = [
			...said(["promote"], `makes a promotion by Experiment ${name} easier`, loweredRules(before, after, stands)),
			...said(["promote", "abort"], `ends Experiment ${name} sooner`, isExposing(stands.phase) ? ends : []),
			...said(["abort"], `takes people out of Experiment ${name}`, stepsBack(before, after, stands)),
			...(is.onHarm === "freeze"
				? // A pause, which takes the same.
					said(["promote"], `lets less harm stop Experiment ${name}`, harmRules(before, after))
				: said(["abort"], `lets less harm end Experiment ${name}`, harmRules(before, after))),
			...said(["promote"], `moves shares between arms of Experiment ${name} otherwise`, banditRules(was, is)),
			...said(["promote"], `lets Experiment ${name} see less harm`, [
				...(is.alpha < was.alpha ? ["alpha"] : []),
				...(is.minUnits > was.minUnits && isFrozenFirst(before) ? ["minUnits, from which thresholds are frozen"] : []),
				...anew.map((metric) => `margin of ${metric}, whose thresholds are frozen anew`),
			]),
		];
		return effects.map((one) => ({ namespace: before.metadata.namespace, ...one }));
	});
}

const timeoutWords = (ms: number): string =>
	ms > 0 ? duration(ms) : `none (counts as ${duration(countedTimeoutMs(ms))})`;

const said = (
	verbs: PromotionEased["verbs"],
	what: string,
	rules: readonly string[],
): readonly Omit<PromotionEased, "namespace">[] =>
	rules.length === 0 ? [] : [{ effect: `${what}: ${rules.join(", ")}`, verbs }];

/** Where people get the default Variant again, nearly all where the step is a small one: who approves it approves how many. */
function stepsBack(before: Experiment, after: Experiment, stands: ExperimentStatus): readonly string[] {
	const [live, next] = [stands, applyExperiment(before, after, stands, stands.stepStartedAtMs)?.status ?? stands];
	if (next.allocationPpm >= live.allocationPpm) return [];
	return [`steps, from ${percent(live.allocationPpm)} to ${percent(next.allocationPpm)}`];
}

const endOf = ({ rollout }: Experiment["spec"]): number => rollout.maxDurationMs ?? Number.POSITIVE_INFINITY;

function loweredRules({ spec: old }: Experiment, { spec: now }: Experiment, stands: ExperimentStatus): string[] {
	const [was, is] = [old.rollout, now.rollout];
	const rules: readonly (readonly [name: string, lowered: boolean])[] = [
		["goal", isGoalLowered(old.goal, now.goal)],
		...old.guardrails.map(
			(guard) =>
				[
					`guardrail ${guard.metric}`,
					!now.guardrails.some(({ metric, margin }) => metric === guard.metric && isAtMost(margin, guard.margin)),
				] as const,
		),
		["steps", areStepsCoarser(was, is, stands)],
		["every", is.everyMs < was.everyMs],
		["minUnits", is.minUnits < was.minUnits],
		["alpha", is.alpha > was.alpha],
		["maxDuration", endOf(now) > endOf(old)],
		["onInconclusive", was.onInconclusive === "keep-default" && is.onInconclusive === "pause"],
		["onHarm", was.onHarm === "roll-back" && is.onHarm === "freeze"],
		[
			"holdback",
			was.holdback !== null &&
				((is.holdback?.sharePpm ?? 0) < was.holdback.sharePpm ||
					(is.holdback?.forMs ?? 0) < was.holdback.forMs ||
					takeoverSteps(was, stands).some((step) => step >= takenAtMost(is))),
		],
	];
	return rules.flatMap(([name, lowered]) => (lowered ? [name] : []));
}

/** By which harm that is there, or that is none, ends what went on, or freezes it. */
function harmRules(before: Experiment, after: Experiment): readonly string[] {
	const [old, now] = [before.spec, after.spec];
	const [was, is] = [old.rollout, now.rollout];
	const narrowed = now.guardrails.filter(
		(guard) => !old.guardrails.some(({ metric, margin }) => metric === guard.metric && isAtMost(margin, guard.margin)),
	);
	const gives: readonly (readonly [name: string, given: boolean])[] = [
		["alpha", is.alpha > was.alpha],
		["fewer guardrails", now.guardrails.length < old.guardrails.length],
		["no goal", old.goal !== null && now.goal === null],
		["no holdback", was.holdback !== null && is.holdback === null],
		["other segments", !isDeepStrictEqual(now.segments, old.segments)],
	];
	return [
		...narrowed.map(({ metric }) => `margin of ${metric}`),
		...(isLevelRaised(before, after) ? gives.flatMap(([name, given]) => (given ? [name] : [])) : []),
		...(was.onHarm === "freeze" && is.onHarm === "roll-back" ? ["onHarm"] : []),
	];
}

/** More often moves people sooner, less often leaves them where it is worse for longer. */
function banditRules({ bandit: was }: Rollout, { bandit: is }: Rollout): readonly string[] {
	return [
		...(was?.algorithm === is?.algorithm ? [] : ["bandit.algorithm"]),
		...(was?.everyMs === is?.everyMs ? [] : ["bandit.every"]),
	];
}

/** What is taken away leaves its part of harm's alpha to the others. */
const isLevelRaised = (before: Experiment, after: Experiment): boolean =>
	(["until a holdback", "in a holdback"] as const).some((when) => {
		const [were, are] = [levels(before, when), levels(after, when)];
		return are.harm > were.harm || are.segmentHarm > were.segmentHarm;
	});

/** Of one metric: resources/change.ts refuses another, and a goal where none was. */
function isGoalLowered(old: Experiment["spec"]["goal"], now: Experiment["spec"]["goal"]): boolean {
	return old !== null && now !== null && !isAtMost(old.improveBy, now.improveBy);
}

/** Of two sizes of one kind; those of different kinds cannot be compared, so that neither is. */
function isAtMost(one: Effect, other: Effect): boolean {
	return one.kind === other.kind && one.value <= other.value;
}

/**
 * Whether one of the steps to come is none any more, so that the next one goes further than it did from there; or what runs
 * exposes more at its last one. To come are all of them until a promotion, for its takeover goes through all of them anew.
 */
function areStepsCoarser(was: Rollout, is: Rollout, stands: ExperimentStatus): boolean {
	const toCome = stands.promotion === null ? was.stepsPpm : takeoverSteps(was, stands);
	const last = ({ stepsPpm }: Rollout): number => stepsPpm.at(-1) ?? 0;
	const isMore = stands.promotion === null && last(is) > Math.max(last(was), stands.allocationPpm);
	return isMore || toCome.some((step) => !is.stepsPpm.includes(step));
}

/** Steps that a takeover has still to go through before it makes the winner's Variant everybody's. */
const takeoverSteps = (rollout: Rollout, { promotion }: ExperimentStatus): readonly number[] =>
	rollout.stepsPpm.filter((step) => step > (promotion?.takeoverPpm ?? 0) && step < takenAtMost(rollout));

/** With a larger holdback it does so at an earlier step. */
const takenAtMost = ({ holdback }: Rollout): number => PPM - (holdback?.sharePpm ?? 0);
