/**
 * Effect sizes of goals and guardrails. A bare percentage is refused: it may mean points (4.0 % → 4.5 %) or a share of
 * the baseline (4.0 % → 4.02 %).
 */
import { z } from "zod";
import type { Effect } from "../resource.js";
import { refuse } from "./scalar.js";
import { fields } from "./strict.js";
import { DURATION_HINT, parseDuration } from "./units.js";

const SHARE = /^([0-9]{1,6})(?:\.([0-9]{1,4}))?(pp|%)$/;

const ABSOLUTE_HINT =
	"write percentage points such as 0.5pp, a number in the metric's own unit such as 0.02, or a duration such as 5ms";
const RELATIVE_HINT = "write a share of the baseline such as 10% or 150%";
const EFFECT_HINT = "write {absolute: 0.5pp} for percentage points or {relative: 0.5%} for a share of the baseline";

/** A percentage with up to four decimals as a fraction: "0.5" of `pp` or `%` → 0.005, as the nearest double. */
function fraction(value: string, unit: "pp" | "%"): number | null {
	const match = SHARE.exec(value);
	if (match === null || match[3] !== unit) return null;
	return (Number(match[1]) * 10_000 + Number((match[2] ?? "").padEnd(4, "0"))) / 1_000_000;
}

const absolute = z
	.union([z.number().min(0, { error: ABSOLUTE_HINT }), z.string()], { error: ABSOLUTE_HINT })
	.transform((value, context): number => {
		if (typeof value === "number") return value;
		const points = fraction(value, "pp");
		if (points !== null) return points;
		if (fraction(value, "%") !== null) {
			const text = value.slice(0, -1);
			const hint = `write {absolute: ${text}pp} for percentage points or {relative: ${text}%} for a share of the baseline`;
			return refuse(context, hint, `is ${value}, which does not say of what`);
		}
		return (
			parseDuration(value) ??
			refuse(context, /^[0-9]/.test(value) && /[hms]$/.test(value) ? DURATION_HINT : ABSOLUTE_HINT)
		);
	})
	.meta({ description: "Difference in the unit of the metric: 0.5pp (percentage points), 0.02, or 5ms for latency." });

const relative = z
	.string({ error: RELATIVE_HINT })
	.transform((value, context): number => fraction(value, "%") ?? refuse(context, RELATIVE_HINT))
	.meta({ description: "Difference relative to the value of the baseline, such as 10%; may exceed 100%." });

/**
 * `{absolute: …}` or `{relative: …}`.
 * @param allowZero for goals, where 0 asks for any improvement; equal arms could never pass a margin of 0
 */
export function effect(allowZero: boolean) {
	return fields({ absolute: absolute.optional(), relative: relative.optional() }, EFFECT_HINT).transform(
		(value, context): Effect => {
			const { absolute: points, relative: share } = value;
			if (points !== undefined && share !== undefined) {
				return refuse(context, "keep one of them", "has both absolute and relative");
			}
			const size = points ?? share;
			if (size === undefined) return refuse(context, EFFECT_HINT, "is empty");
			if (size === 0 && !allowZero) {
				const what = "is 0, which even equal arms could never be proved to keep";
				return refuse(context, "write a margin above 0", what);
			}
			return { kind: points === undefined ? "relative" : "absolute", value: size };
		},
	);
}
