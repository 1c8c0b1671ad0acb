/** The flags of `weir plan` for values that are not measured yet. */

import type { Baseline, PlanEvidence } from "../../decide/rollout/planEvidence.js";
import type { Assumptions } from "../../decide/rollout/planInput.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";

export interface PlanFlags {
	readonly traffic?: string;
	readonly baseline: readonly string[];
	readonly effect: readonly string[];
	readonly days?: string;
	readonly power: string;
}

/** @throws WeirError `invalid-argument` that names the flag */
export function parsePlanFlags(flags: PlanFlags): { readonly facts: PlanEvidence; readonly assumptions: Assumptions } {
	const { traffic, baseline, effect, days, power } = flags;
	const perDay = traffic?.split(",").map((one) => quantity(one, "--traffic", "people a day, such as 9000"));
	if (perDay?.some((units) => units < 0)) throw wrong("--traffic", "people a day, such as 9000");
	const end = days === undefined ? null : quantity(days, "--days", "a number of days");
	if (end !== null && !(end > 0)) throw wrong("--days", "a number of days above 0");
	return {
		facts: {
			baselines: Object.fromEntries(baseline.map(parseBaseline)),
			traffic: perDay === undefined ? null : { newUnitsPerDay: perDay, from: "--traffic" },
		},
		assumptions: {
			power: quantity(power, "--power", "a share such as 80%"),
			days: end,
			effects: Object.fromEntries(
				effect.map((text) => {
					const [metric, size] = pair(text, "--effect", "METRIC=SIZE, such as accuracy=2pp");
					return [metric, quantity(size, "--effect", "METRIC=SIZE, such as accuracy=2pp")];
				}),
			),
		},
	};
}

/** @throws WeirError `invalid-argument` if a flag names a Metric that the Experiment does not use */
export function demandMetrics(experiment: Experiment, { facts, assumptions }: ReturnType<typeof parsePlanFlags>): void {
	const known = claimedMetrics(experiment);
	const named = [...Object.keys(facts.baselines), ...Object.keys(assumptions.effects)];
	const unknown = named.find((metric) => !known.includes(metric));
	if (unknown === undefined) return;
	const hint = `Metrics of Experiment ${qualifiedName(experiment.metadata)}: ${known.join(", ") || "none"}`;
	throw new WeirError("invalid-argument", `unknown Metric ${unknown}`, hint);
}

const BASELINE = "METRIC=MEAN, METRIC=MEAN,SD or METRIC=MEAN,SD,MOST, such as accuracy=78% or revenue=12.5,30,900";

function parseBaseline(text: string): [string, Baseline] {
	const [metric, numbers] = pair(text, "--baseline", BASELINE);
	const [mean = "", sd, most, more] = numbers.split(",");
	if (more !== undefined) throw wrong("--baseline", BASELINE);
	const spread = sd === undefined ? null : quantity(sd, "--baseline", BASELINE);
	if (spread !== null && !(spread > 0)) throw wrong("--baseline", `${BASELINE}; a spread is above 0`);
	const variance = spread === null ? null : spread * spread;
	const level = quantity(mean, "--baseline", BASELINE);
	const farthest = most === undefined ? {} : { farthest: Math.abs(quantity(most, "--baseline", BASELINE) - level) };
	return [metric, { mean: level, variance, ...farthest, from: "--baseline" }];
}

function pair(text: string, flag: string, form: string): [string, string] {
	const cut = text.indexOf("=");
	if (cut < 1) throw wrong(flag, form);
	return [text.slice(0, cut), text.slice(cut + 1)];
}

/** `0.8`, `80%`, `2pp`. */
function quantity(text: string, flag: string, form: string): number {
	const match = /^(-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)(%|pp)?$/.exec(text.trim());
	const value = Number(match?.[1] ?? Number.NaN);
	if (!Number.isFinite(value)) throw wrong(flag, form);
	return match?.[2] === undefined ? value : Number((value / 100).toPrecision(15));
}

function wrong(flag: string, form: string): WeirError {
	return new WeirError("invalid-argument", `${flag} is not understood`, `write ${form}`);
}
