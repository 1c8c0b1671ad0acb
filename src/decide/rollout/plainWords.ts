/**
 * Findings in plain words, for whoever is no statistician: `accuracy of boosted is better: 5 points more, surely more
 * than 2.4 points (0.5 points asked for); 6,000 people against 6,000`. The same bytes for the same numbers.
 */
import type { Metric } from "../../declare/resources/resource.js";
import type { Finding } from "./decision.js";
import { slowRequests } from "./slowWords.js";

/** 12345.6 → `12,345.6`. */
export function count(value: number): string {
	const [whole = "", rest] = String(value).split(".");
	return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}

/** `5.1 points`, `3%`, `12 ms`, `0.4`: a size of effect as its metric is spoken of. */
function size(finding: Finding, metric: Metric | undefined, value: number): string {
	const two = (x: number): string => count(Number(Math.abs(x).toPrecision(2)));
	if (!Number.isFinite(value)) return "beyond measure";
	const quantile = metric?.spec.type === "quantile";
	if (finding.relative === true && !quantile) return `${two(value * 100)}%`;
	if (quantile || metric?.spec.type === "rate") {
		const points = two(value * 100);
		return `${points} ${points === "1" ? "point" : "points"}`;
	}
	return metric?.spec.source === "latency" ? `${two(value)} ms` : two(value);
}

/** `more` or `fewer`, of what was measured. */
function way(metric: Metric | undefined, improvement: number): string {
	const down = metric !== undefined && (metric.spec.direction === "down" || metric.spec.type === "quantile");
	return improvement >= 0 !== down ? "more" : "less";
}

function name({ metric, arm, segment, slow }: Finding, declared: Metric | undefined): string {
	const shares = declared?.spec.type === "quantile" && slow === undefined;
	const what = shares ? `share of slow requests (${metric})` : metric;
	return `${what} of ${arm}${segment === undefined ? "" : whereIn(segment)}`;
}

/** ` where country is de`, after a metric. */
export function whereIn({ name, value }: NonNullable<Finding["segment"]>): string {
	return ` where ${name} is ${value ?? "anything else"}`;
}

/** `812 people against 41` */
export function people({ challenger, baseline }: Finding): string {
	return `${count(challenger.n)} people against ${count(baseline.n)}`;
}

/** Of a harm that is proved. */
export function worse(finding: Finding, metric: Metric | undefined): string {
	const { improvement, upper, line, role, slow } = finding;
	if (slow !== undefined) {
		const more = upper === null ? "" : `, surely at least ${size(finding, metric, upper)} more`;
		const verdict = role === "goal" ? "worse" : "beyond its margin";
		return `${name(finding, metric)} is ${verdict}: ${slowRequests(finding)}${more}; ${people(finding)}`;
	}
	const by = improvement === null ? "" : `: ${size(finding, metric, improvement)} ${way(metric, improvement)}`;
	const surely = upper === null ? "" : `, surely more than ${size(finding, metric, upper)}`;
	const allowed = role === "goal" ? "" : ` (${size(finding, metric, line)} allowed)`;
	return `${name(finding, metric)} is worse${by}${surely}${allowed}; ${people(finding)}`;
}

/** `as much as 6,000 people of all versions would tell` */
export function information(units: number): string {
	return `as much as ${count(units)} people of all versions would tell`;
}

/** Of a claim that is proved. */
export function better(finding: Finding, metric: Metric | undefined): string {
	const { line, role, look } = finding;
	const { improvement, lower } = look ?? finding;
	const what = name(finding, metric);
	if (finding.slow !== undefined) return withinOrBetter(finding, metric, what);
	if (role === "goal") {
		const by = improvement === null ? "" : `: ${size(finding, metric, improvement)} ${way(metric, improvement)}`;
		const surely =
			lower === null || lower <= 0
				? ""
				: `, surely more than ${size(finding, metric, lower)} (${size(finding, metric, line)} asked for)`;
		const whom = look === undefined ? people(finding) : `planned look ${look.number}, with ${information(look.units)}`;
		return `${what} is better${by}${surely}; ${whom}`;
	}
	if (lower === null || lower >= 0) return `${what} is no worse`;
	return `${what} is at most ${size(finding, metric, lower)} worse (${size(finding, metric, line)} allowed)`;
}

/** Of a quantile: within its margin, which is no claim that it is no slower. */
function withinOrBetter(finding: Finding, metric: Metric | undefined, what: string): string {
	const { role, look, line } = finding;
	const { lower } = look ?? finding;
	if (role === "goal") {
		const surely = lower === null || lower <= 0 ? "" : `, surely at least ${size(finding, metric, lower)} fewer`;
		return `${what} is better: ${slowRequests(finding)}${surely}; ${people(finding)}`;
	}
	const surely =
		lower === null || lower >= 0
			? ""
			: `, surely at most ${size(finding, metric, lower)} more (${size(finding, metric, line)} tolerated)`;
	return `${what} is within its margin: ${slowRequests(finding)}${surely}`;
}

/** Of a claim that is not proved yet. */
export function undecided(finding: Finding, metric: Metric | undefined): string {
	const { improvement, line, role, verdict, note } = finding;
	const lower = finding.lower ?? Number.NEGATIVE_INFINITY;
	const what = name(finding, metric);
	if (verdict === "unknown") return `nothing can be said of ${what}: ${note}`;
	if (note !== "")
		return `${what} is ${finding.slow === undefined ? "no larger than allowed" : "within its margin"} as far as was measured, but how fast the old version is by now is not known well enough`;
	if (finding.slow !== undefined && role === "guardrail")
		return `${what} is not proved within its margin yet: ${slowRequests(finding)}, and may still be up to ${size(finding, metric, lower)} more, ${size(finding, metric, line)} are tolerated`;
	if (role === "guardrail" && lower === Number.NEGATIVE_INFINITY)
		return `how much worse ${what} may be is not bounded yet, ${size(finding, metric, line)} are allowed`;
	if (role === "guardrail")
		return `${what} may still be up to ${size(finding, metric, lower)} worse, ${size(finding, metric, line)} are allowed`;
	const by = line === 0 ? "" : ` by ${size(finding, metric, line)}`;
	if (finding.look !== undefined)
		return `${what} was not proved better${by} at its planned looks, the last with ${information(finding.look.units)}`;
	if (finding.slow !== undefined) return `${what} is not proved better yet; ${slowRequests(finding)}`;
	const seen =
		improvement === null ? "" : `; it looks like ${size(finding, metric, improvement)} ${way(metric, improvement)}`;
	return `${what} is not proved better${by} yet${seen}`;
}
