/**
 * Numbers and times as the report writes them: the same bytes on every machine, no locale, times in UTC. A size of
 * effect is written in the way in which its metric is spoken of.
 */

import type { Metric } from "../../declare/resources/resource.js";
import type { Finding } from "../../infer/statistics/finding.js";
import { type QuantileClaim, slowComparison } from "../rollout/slowRequests.js";
import { count } from "../rollout/summary.js";

/** `2026-01-31 12:00:05 UTC`, without milliseconds. */
export function utc(ms: number): string {
	return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15
		? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`
		: "an unknown time";
}

/** `01-31 12:00` or, within minutes, `12:00:05`. */
export function shortTime(ms: number, spanMs: number): string {
	const text = new Date(ms).toISOString();
	if (spanMs < 10 * 60_000) return text.slice(11, 19);
	if (spanMs < 36 * 3_600_000) return text.slice(11, 16);
	return text.slice(5, 10);
}

/** How sizes of one claim are written. */
export type Scale = "points" | "percent" | "ms" | "plain";

export function scaleOf(metric: Metric | undefined, relative: boolean | undefined): Scale {
	if (metric === undefined) return "plain";
	const { type, source } = metric.spec;
	if (type === "quantile") return "points";
	if (relative === true) return "percent";
	if (type === "rate" || source === "errors") return "points";
	return source === "latency" ? "ms" : "plain";
}

/** A number and its unit stay in one line. */
const NO_BREAK = "\u00A0";

const UNIT: Readonly<Record<Scale, string>> = {
	points: `${NO_BREAK}pp`,
	percent: `${NO_BREAK}%`,
	ms: `${NO_BREAK}ms`,
	plain: "",
};

/** Signed, with its unit, in so many significant digits: `+1.2 pp`. null is `unknown`. */
export function size(scale: Scale, value: number | null, digits = 3): string {
	if (value === null) return "unknown";
	if (!Number.isFinite(value)) return value > 0 ? "any more" : "any less";
	return `${signed(value * factor(scale), digits)}${UNIT[scale]}`;
}

/** Without a sign, for a margin. */
export function bare(scale: Scale, value: number): string {
	return `${plain(Math.abs(value) * factor(scale))}${UNIT[scale]}`;
}

/** What a value of the scale is multiplied by to be written. */
export function factor(scale: Scale): number {
	return scale === "points" || scale === "percent" ? 100 : 1;
}

/** A level of one arm: a share as percent, anything else as it is. */
export function level(metric: Metric | undefined, value: number): string {
	if (metric === undefined) return plain(value, 4);
	const { type, source } = metric.spec;
	if (type === "rate" || type === "quantile" || source === "errors") return `${plain(value * 100, 4)}${UNIT.percent}`;
	return `${plain(value, 4)}${source === "latency" ? UNIT.ms : ""}`;
}

/** With separators of thousands and a true minus sign. */
export function plain(value: number, digits = 3): string {
	if (!Number.isFinite(value)) return String(value);
	const rounded = Math.abs(value) >= 10 ** digits ? Math.round(value) : Number(value.toPrecision(digits));
	const text = decimal(Math.abs(rounded));
	return rounded < 0 ? `−${text}` : text;
}

function decimal(value: number): string {
	return value !== 0 && (value < 1e-6 || value >= 1e15) ? value.toExponential() : count(value);
}

export function signed(value: number, digits = 3): string {
	return value > 0 ? `+${plain(value, digits)}` : plain(value, digits);
}

/** A p-value. */
export function pValue(p: number): string {
	return p >= 1 ? "1" : p < 1e-4 ? p.toExponential(1) : plain(p, 2);
}

/** For recomputation: enough digits to identify the double. */
export function exact(value: number | null | undefined): string {
	return value === null || value === undefined ? "–" : String(value);
}

/** `accuracy`, or what is really compared of a quantile. */
export function claimName(
	finding: Pick<Finding, "metric"> & Partial<QuantileClaim>,
	metric: Metric | undefined,
): string {
	if (metric?.spec.type !== "quantile") return finding.metric;
	const { role = "guardrail", slow } = finding;
	return `${finding.metric} (${slowComparison(slow === undefined ? { role } : { role, slow })})`;
}
