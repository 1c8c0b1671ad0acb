/** Example claims of each metric type for plans. */

import type { Effect, Metric } from "../../../src/declare/resources/resource.js";
import type { PlanMetric } from "../../../src/infer/planning/planMetric.js";
import { metric } from "../../decide/rollout/example.js";

export const absolute = (value: number): Effect => ({ kind: "absolute", value });
export const relative = (value: number): Effect => ({ kind: "relative", value });

export function claim(
	name: string,
	spec: Partial<Metric["spec"]>,
	change: Partial<PlanMetric> & Pick<PlanMetric, "baselineMean">,
): PlanMetric {
	return {
		name,
		metric: metric(name, spec),
		role: "guardrail",
		effect: absolute(0.01),
		slowLine: 0,
		variance: null,
		believed: 0,
		...change,
	};
}

export const ACCURACY = claim(
	"accuracy",
	{},
	{ role: "goal", effect: absolute(0.005), baselineMean: 0.78, believed: 0.05 },
);
export const ERRORS = claim(
	"error-rate",
	{ source: "errors", direction: "down" },
	{ effect: absolute(0.005), baselineMean: 0.001 },
);
export const REVENUE = claim(
	"revenue",
	{ type: "mean", perUnit: "sum" },
	{ effect: relative(0.1), baselineMean: 20, variance: 400 },
);
export const WAIT = claim(
	"wait",
	{ type: "mean", source: "latency", direction: "down" },
	{ role: "goal", effect: absolute(5), baselineMean: 40, variance: 3_600, believed: 8 },
);
export const STARS = claim(
	"stars",
	{ type: "mean", range: { lo: 1, hi: 5 } },
	{ role: "goal", effect: absolute(0.05), baselineMean: 4.1, variance: 0.49, believed: 0.15 },
);
export const CLICKS = claim(
	"clicks-per-request",
	{ type: "ratio", denominator: "requests" },
	{ effect: absolute(0.02), baselineMean: 0.3, variance: 0.25 },
);
const P99 = { type: "quantile", source: "latency", direction: "down", quantile: 0.99 } as const;
export const SLOW = claim("latency-p99", P99, {
	effect: relative(1),
	slowLine: 0.0025,
	baselineMean: 0.01,
	believed: 0.005,
});
export const FASTER = claim("latency-p99", P99, {
	role: "goal",
	effect: relative(0.2),
	slowLine: 0.0025,
	baselineMean: 0.01,
	believed: 0.005,
});
