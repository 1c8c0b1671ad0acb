/**
 * Findings in one plain sentence for a product manager: `accuracy is 5 points better (at least 2.4)`. The exact sentence
 * with intervals and units is the decision's reason (sentence.ts). The same bytes for the same numbers.
 */
import type { Metric } from "../../declare/resources/resource.js";
import type { Finding } from "./decision.js";

/** 12345.6 → `12,345.6`. */
export function count(value: number): string {
	const [whole = "", rest] = String(value).split(".");
	return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}

const digits = (value: number): string => count(Number(Math.abs(value).toPrecision(2)));

const inPercent = ({ relative }: Finding, metric: Metric | undefined): boolean =>
	relative === true && metric?.spec.type !== "quantile";

const inPoints = (metric: Metric | undefined): boolean =>
	metric?.spec.type === "quantile" || metric?.spec.type === "rate";

/** A size of effect without its unit. */
const bare = (finding: Finding, metric: Metric | undefined, value: number): string =>
	digits(inPercent(finding, metric) || inPoints(metric) ? value * 100 : value);

/** A size of effect in the unit of its metric: `5.1 points`, `3%`, `12 ms`, `0.4`. */
function size(finding: Finding, metric: Metric | undefined, value: number): string {
	const number = bare(finding, metric, value);
	if (inPercent(finding, metric)) return `${number}%`;
	if (inPoints(metric)) return `${number} ${number === "1" ? "point" : "points"}`;
	return metric?.spec.source === "latency" ? `${number} ms` : number;
}

/** ` 5 points better`, or without a size where it is unknown. */
const moved = (finding: Finding, metric: Metric | undefined, value: number | null, to: string): string =>
	value === null || !Number.isFinite(value) ? ` ${to}` : ` ${size(finding, metric, value)} ${to}`;

const nameOf = ({ metric, arm, segment }: Finding): string =>
	`${metric} of ${arm}${segment === undefined ? "" : whereIn(segment)}`;

/** ` where country is de`, after a metric. */
export function whereIn({ name, value }: NonNullable<Finding["segment"]>): string {
	return ` where ${name} is ${value ?? "anything else"}`;
}

/** `812 people against 41` */
export function people({ challenger, baseline }: Finding): string {
	return `${count(challenger.n)} people against ${count(baseline.n)}`;
}

/** A proved harm: `error-rate of boosted is 20 points worse (at least 12, 1 allowed)`. */
export function worse(finding: Finding, metric: Metric | undefined): string {
	const { improvement, upper, line, role, slow } = finding;
	if (role === "guardrail" && slow !== undefined) return `${nameOf(finding)} got worse than allowed`;
	const least = upper === null || !Number.isFinite(upper) ? [] : [`at least ${bare(finding, metric, upper)}`];
	const allowed = role === "goal" ? [] : [`${bare(finding, metric, line)} allowed`];
	const bounds = [...least, ...allowed].join(", ");
	return `${nameOf(finding)} is${moved(finding, metric, improvement, "worse")}${bounds === "" ? "" : ` (${bounds})`}`;
}

/** The information of a planned look: `the information of 6,000 people`. */
export function information(units: number): string {
	return `the information of ${count(units)} people`;
}

/** A proved arm: `accuracy is 3.6 points better (at least 0.8); latency-p90 and error-rate are fine`. */
export function better(goal: Finding, findings: readonly Finding[], metric: Metric | undefined): string {
	const { improvement, lower } = goal.look ?? goal;
	const least = lower === null || lower <= 0 ? "" : ` (at least ${bare(goal, metric, lower)})`;
	const fine = [...new Set(findings.filter((one) => one.role === "guardrail").map((one) => one.metric))];
	const guardrails = fine.length === 0 ? "" : `; ${fine.join(" and ")} ${fine.length === 1 ? "is" : "are"} fine`;
	return `${goal.metric} is${moved(goal, metric, improvement, "better")}${least}${guardrails}`;
}

/** A claim that is not proved yet. */
export function undecided(finding: Finding, metric: Metric | undefined): string {
	const { improvement, line, role, verdict, note, lower, slow, look } = finding;
	const what = nameOf(finding);
	if (verdict === "unknown") return `${what} is unknown: ${note}`;
	if (note !== "") return `${what} looks fine, but the old version's own latency is not known well enough yet`;
	if (role === "guardrail") {
		if (slow !== undefined || lower === null || lower === Number.NEGATIVE_INFINITY)
			return `${what} may still be worse than allowed`;
		return `${what} may still be up to ${size(finding, metric, lower)} worse (${bare(finding, metric, line)} allowed)`;
	}
	const by = line === 0 ? "" : ` by ${size(finding, metric, line)}`;
	if (look !== undefined) return `${what} was not proved better${by} at its planned looks`;
	const now =
		improvement === null || slow !== undefined
			? ""
			: `; now it is${moved(finding, metric, improvement, improvement < 0 ? "worse" : "better")}`;
	return `${what} is not proved better${by} yet${now}`;
}
