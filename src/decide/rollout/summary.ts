/**
 * Decisions in one plain sentence for people: why, then what follows. `accuracy is 5 points better (at least 2.4); p90 latency
 * and errors are fine: v2 takes over.` The exact sentence with intervals and units is the decision's reason (sentence.ts). The
 * same bytes for the same numbers.
 */
import type { Experiment, Metric } from "../../declare/resources/resource.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import type { DecisionInput, Finding } from "./decision.js";

type Context = Pick<DecisionInput, "experiment" | "metrics">;

/** The one sentence of a decision. */
export function plain(why: string | readonly string[], then: string): string {
	return `${[why].flat().join("; ")}: ${then}.`;
}

/** A challenger by its Variant if it is the only one, else by its arm: several arms may share a Variant. */
export function versionOf(experiment: Experiment, arm: string): string {
	const [only, another] = experiment.spec.arms.filter(({ baseline }) => !baseline);
	return only === undefined || another !== undefined || only.variant === baselineVariant(experiment)
		? arm
		: only.variant;
}

/** `v2 is rolled back`, `boosted and deep are rolled back`. */
export function rolledBack(arms: readonly string[], { experiment, replaces }: DecisionInput): string {
	const to = replaces === undefined ? "" : ` to ${replaces}`;
	return `${list(arms.map((arm) => versionOf(experiment, arm)))} ${arms.length === 1 ? "is" : "are"} rolled back${to}`;
}

/** `a`, `a and b`, `a, b and c`. */
function list(names: readonly string[]): string {
	return names.join(", ").replace(/, ([^,]*)$/, " and $1");
}

/** 12345.6 → `12,345.6`. */
export function count(value: number): string {
	const [whole = "", rest] = String(value).split(".");
	return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}

/** A metric as people call it: `p90 latency`, `errors`, else its own name. */
export function called(name: string, metric: Metric | undefined): string {
	const { type, source, quantile } = metric?.spec ?? {};
	if (type === "quantile" && quantile !== null && quantile !== undefined)
		return `p${Number((quantile * 100).toPrecision(6))} latency`;
	return source === "errors" ? "errors" : name;
}

/** A size of effect in the unit of its metric: `5.1 points`, `3%`, `12 ms`, `0.4`. */
function size({ relative }: Finding, metric: Metric | undefined, value: number): string {
	const isShare = metric?.spec.type === "rate";
	const number = count(Number(Math.abs(relative || isShare ? value * 100 : value).toPrecision(2)));
	if (relative) return `${number}%`;
	if (isShare) return `${number} ${number === "1" ? "point" : "points"}`;
	return metric?.spec.source === "latency" ? `${number} ms` : number;
}

/** `5.1 points better (at least 2.4)`, or as much of it as is known. */
function moved(finding: Finding, { metrics }: Context, by: number | null, least: number | null, to: string): string {
	const metric = metrics[finding.metric];
	const { slow, role } = finding;
	if (metric?.spec.type === "quantile") {
		// The measurement is how many requests are slow. The proved claim is how much slower they are.
		const { kind, value } = slow?.effect ?? { kind: "relative", value: 0 };
		const isProved = (to === "worse") === (role === "guardrail") && value !== 0;
		return isProved ? `at least ${size({ ...finding, relative: kind === "relative" }, metric, value)} ${to}` : to;
	}
	const known = by === null || !Number.isFinite(by) ? to : `${size(finding, metric, by)} ${to}`;
	return least === null || !Number.isFinite(least)
		? known
		: `${known} (at least ${size(finding, metric, least).replace(/ points?$/, "")})`;
}

/** `p90 latency`, `errors of boosted where country is DE`: the arm only where several could be meant. */
function nameOf({ metric, arm, segment }: Finding, { experiment, metrics }: Context): string {
	const of = experiment.spec.arms.length > 2 ? ` of ${arm}` : "";
	return `${called(metric, metrics[metric])}${of}${segment === undefined ? "" : whereIn(segment)}`;
}

/** A name with its verb. */
const are = (name: string): string => `${name} ${/^errors\b/.test(name) ? "are" : "is"}`;

/** ` where country is de`, after a metric. */
export function whereIn({ name, value }: NonNullable<Finding["segment"]>): string {
	return ` where ${name} is ${value ?? "anything else"}`;
}

/** `812 people against 41` */
export function people({ challenger, baseline }: Finding): string {
	return `${count(challenger.n)} people against ${count(baseline.n)}`;
}

/** The information of a planned look: `the information of 6,000 people`. */
export function information(units: number): string {
	return `the information of ${count(units)} people`;
}

/** A proved harm: `errors are 20 points worse (at least 12)`, `p90 latency is at least 100% worse`. */
export function worse(finding: Finding, context: Context): string {
	const { improvement, upper } = finding;
	return `${are(nameOf(finding, context))} ${moved(finding, context, improvement, upper, "worse")}`;
}

/** A proved arm: `accuracy is 3.6 points better (at least 0.8)`, `p90 latency and errors are fine`. */
export function better(goal: Finding, findings: readonly Finding[], context: Context): readonly string[] {
	const { improvement, lower } = goal.look ?? goal;
	const least = lower === null || lower <= 0 ? null : lower;
	const { metrics } = context;
	const guardrails = findings.filter(({ role }) => role === "guardrail");
	const fine = [...new Set(guardrails.map(({ metric }) => called(metric, metrics[metric])))];
	const won = `${are(called(goal.metric, metrics[goal.metric]))} ${moved(goal, context, improvement, least, "better")}`;
	return fine.length === 0 ? [won] : [won, `${fine.length === 1 ? are(fine.join("")) : `${list(fine)} are`} fine`];
}

/** A claim that is not proved yet. */
export function undecided(finding: Finding, context: Context): string {
	const { improvement, line, role, verdict, note, lower, look } = finding;
	const metric = context.metrics[finding.metric];
	const what = nameOf(finding, context);
	const isQuantile = metric?.spec.type === "quantile";
	if (verdict === "unknown") return `${are(what)} unknown: ${note}`;
	if (note !== "") return `${what} looks fine, but the old version's own latency is not known well enough yet`;
	if (role === "guardrail") {
		if (isQuantile || lower === null || lower === Number.NEGATIVE_INFINITY)
			return `${what} may still be worse than allowed`;
		return `${what} may still be up to ${size(finding, metric, lower)} worse (${size(finding, metric, line).replace(/ points?$/, "")} allowed)`;
	}
	const by = line === 0 || isQuantile ? "" : ` by ${size(finding, metric, line)}`;
	if (look !== undefined) return `${what} was not proved better${by} at its planned looks`;
	const now =
		improvement === null || isQuantile
			? ""
			: `; now it is ${moved(finding, context, improvement, null, improvement < 0 ? "worse" : "better")}`;
	return `${are(what)} not proved better${by} yet${now}`;
}
