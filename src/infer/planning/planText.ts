/**
 * Formats sizes and levels of a plan: points for shares, percent for shares of the baseline's level, else the metric's own
 * unit. Independent of the machine's locale.
 */
import { isRelative, signOf } from "../statistics/question.js";
import { boundsOf, type PlanMetric, planLine, treatedMean } from "./planMetric.js";

const three = (value: number): string => grouped(String(Number(value.toPrecision(3))));

/** 12345.6 → `12,346`. */
export function people(value: number): string {
	return grouped(String(Math.round(value)));
}

function grouped(text: string): string {
	const [whole = "", rest] = text.split(".");
	return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}

/** Days in tenths. */
export const tenths = (value: number): string => String(Number(value.toFixed(1)));

/** `80%`, `99.5%`; never 100%. */
export function chance(value: number): string {
	if (value > 0.999 && value < 1) return "over 99.9%";
	if (value < 0.001 && value > 0) return "under 0.1%";
	return `${Number((value * 100).toFixed(1))}%`;
}

/** Whether values are shares of units or requests, not amounts. */
export function isShare({ metric }: Pick<PlanMetric, "metric">): boolean {
	return metric.spec.type !== "mean" && boundsOf({ metric }) !== null;
}

/** `2%` of the baseline's level, `0.5 points`, `12 ms`, `3.2`. */
export function sizeOf(metric: PlanMetric, value: number): string {
	if (isRelative(metric)) return `${three(value * 100)}%`;
	if (!isShare(metric)) return amount(metric, value);
	const points = three(value * 100);
	return `${points} ${points === "1" ? "point" : "points"}`;
}

/** A level of an arm: `78%`, `12 ms`, `3.2`. */
export function levelOf(metric: PlanMetric, value: number): string {
	return isShare(metric) ? `${three(value * 100)}%` : amount(metric, value);
}

function amount({ metric }: PlanMetric, value: number): string {
	return metric.spec.source === "latency" ? `${three(value)} ms` : three(value);
}

/** The claimed size of a quantile's effect, in its own unit: `100%`, `50 ms`. */
export function stretchOf({ effect }: Pick<PlanMetric, "effect">): string {
	return effect.kind === "relative" ? `${three(effect.value * 100)}%` : `${three(effect.value)} ms`;
}

/** The verbs of better and of worse. */
export function verbs({ metric }: Pick<PlanMetric, "metric">): { readonly better: string; readonly worse: string } {
	return signOf(metric) === 1 ? { better: "rise", worse: "fall" } : { better: "fall", worse: "rise" };
}

/** The claimed, assumed and detectable sizes of a claim, for a table. */
export function cells(metric: PlanMetric, found: number | null): readonly [string, string, string] {
	const { metric: declared, role, believed, effect } = metric;
	const size = (value: number): string => sizeOf(metric, value).replace(/ points?$/, "pp");
	if (declared.spec.type === "quantile") {
		const slow = (improvement: number): string => `${levelOf(metric, treatedMean(metric, improvement))} slow`;
		const way = role === "goal" ? "shorter" : "longer";
		const asked =
			role === "goal" && effect.value === 0 ? "shorter" : `${role === "goal" ? ">" : "<"}${stretchOf(metric)} ${way}`;
		return [asked, slow(believed), found === null ? "-" : slow(found)];
	}
	const better = (value: number): string =>
		value === 0 ? "the same" : `${size(Math.abs(value))} ${value > 0 ? "better" : "worse"}`;
	const line = planLine(metric);
	if (role === "goal")
		return [line === 0 ? "better" : `>${size(line)} better`, better(believed), found === null ? "-" : better(found)];
	return [`<${size(-line)} worse`, better(believed), found === null ? "-" : `<${size(found)} worse`];
}
