/** Metric: what is measured of a unit, from outcomes or from the access log. */
import { z } from "zod";
import { OUTCOME_VALUE_MAX, PPM } from "../../../limits/index.js";
import { duration, name, percentage, refuse } from "../fields/scalar.js";
import { spiffeId } from "../fields/spiffeField.js";
import { fields, list, oneOf, uniqueList, withHint } from "../fields/strict.js";
import type { Cap, Metric } from "../resource.js";
import { resource } from "./metadata.js";

const QUANTILE_HINT = "write a number above 0 and below 1, such as 0.99";

const RANGE_HINT = "write two numbers, the lower first, such as [0, 5]";
const CAP_HINT = "write {value: 500} or {percentile: 99.9%}";

const spec = fields({
	type: oneOf("mean", "rate", "ratio", "quantile").meta({
		description:
			"mean: mean of any numbers. rate: mean of values in [0, 1]. ratio: a sum divided by the sum of the denominator. quantile: quantile of the request latency.",
	}),
	source: oneOf("outcome", "latency", "errors").default("outcome").meta({
		description:
			"outcome (default): values posted under the name of this metric. latency, errors: from the access log.",
	}),
	direction: oneOf("up", "down")
		.optional()
		.meta({ description: "Direction of an improvement; default up for outcomes, down for latency and errors." }),
	window: duration(1)
		.prefault("1h")
		.meta({ description: "Observation time of a unit from its first exposure; default 1h." }),
	quantile: z
		.number({ error: QUANTILE_HINT })
		.gt(0, { error: QUANTILE_HINT })
		.lt(1, { error: QUANTILE_HINT })
		.optional()
		.meta({ description: "Which quantile, such as 0.99 for p99. Only for type quantile." }),
	missing: oneOf("exclude", "zero").optional().meta({
		description:
			"Value of a unit without an outcome in its window: exclude (default) leaves the unit out, zero counts it as 0.",
	}),
	perUnit: oneOf("mean", "sum")
		.optional()
		.meta({ description: "Aggregation of the outcomes of one unit: mean (default), or sum (default for type ratio)." }),
	range: list(z.number({ error: RANGE_HINT }), RANGE_HINT)
		.length(2, { error: RANGE_HINT })
		.optional()
		.meta({ description: "Lower and upper bound of every value; makes the test exact. Only for type mean." }),
	denominator: name.optional().meta({
		description:
			"Denominator: a Metric of source outcome, or `requests`, the number of requests of the unit. Only for type ratio.",
	}),
	cap: fields({ value: z.number({ error: CAP_HINT }).optional(), percentile: percentage.optional() }, CAP_HINT)
		.transform((value, context): Cap => {
			if (value.value !== undefined && value.percentile === undefined) return { value: value.value };
			if (value.percentile === undefined || value.value !== undefined) return refuse(context, CAP_HINT);
			if (value.percentile <= PPM / 2 || value.percentile >= PPM)
				return refuse(context, "write a percentile above 50% and below 100%, such as 99.9%");
			return { quantile: value.percentile / PPM };
		})
		.optional()
		.meta({
			description:
				"Upper limit to which larger values are reduced: a number, or a percentile of the values of the first units.",
		}),
	covariate: fields({ lookback: duration(1) }, "write covariate: {lookback: 7d}")
		.optional()
		.meta({
			description:
				"CUPED variance reduction, with the value of this metric during `lookback` before the first exposure of the unit.",
		}),
	senders: uniqueList(spiffeId, "write a list of SPIFFE ids").default([]).meta({
		description:
			"SPIFFE ids that may post outcomes of this metric. Empty: only the user that runs control, over the UNIX socket.",
	}),
}).transform((value, context): Metric["spec"] => {
	const { type, source, direction, window, quantile, missing, senders } = value;
	const { perUnit, range, denominator, cap, covariate } = value;
	const at = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: withHint(what, hint), path: [field], input: value });
	};
	if (type === "quantile" && source !== "latency") {
		at("type", `is quantile with source ${source}`, "write source: latency, or another type");
	}
	if (type === "quantile" && quantile === undefined) at("quantile", "is missing", "add quantile: 0.99");
	if (type !== "quantile" && quantile !== undefined) {
		at("quantile", `is given for type ${type}`, "remove it, or write type: quantile with source: latency");
	}
	if (type === "rate" && source === "latency") {
		at("type", "is rate with source latency", "write type: quantile for the share of slow requests, or type: mean");
	}
	if (source === "errors" && type !== "rate") {
		at("type", `is ${type} with source errors`, "write type: rate: an error rate is a share of requests");
	}
	if (senders.length > 0 && source !== "outcome") {
		at("senders", `is given for source ${source}`, "remove it: Envoy measures this source");
	}
	if (missing !== undefined && source !== "outcome") {
		at("missing", `is given for source ${source}`, "remove it: every exposed unit has requests");
	}
	for (const field of ["perUnit", "range", "denominator", "cap", "covariate"] as const) {
		if (value[field] === undefined || source === "outcome") continue;
		at(field, `is given for source ${source}`, "remove it: it is for what is posted as outcomes");
	}
	if (range !== undefined && type !== "mean")
		at("range", `is given for type ${type}`, "remove it; a rate has [0, 1] by itself");
	const [lo = 0, hi = 1] = range ?? [];
	if (range !== undefined && !(lo < hi)) at("range", "is empty", RANGE_HINT);
	const beyond = `beyond ${OUTCOME_VALUE_MAX}, the largest accepted value`;
	if (range?.some((bound) => Math.abs(bound) > OUTCOME_VALUE_MAX))
		at("range", `reaches ${beyond}`, "write smaller bounds");
	if (cap !== undefined && "value" in cap && Math.abs(cap.value) > OUTCOME_VALUE_MAX)
		at("cap", `lies ${beyond}`, "write a smaller one, or remove it");
	if (range !== undefined && perUnit === "sum")
		at("range", "is given with perUnit: sum", "remove one: a sum of bounded values is not bounded by them");
	if (type === "rate" && source === "outcome" && perUnit === "sum")
		at("perUnit", "is sum for type rate", "remove it, or write type: mean: a sum of shares is no share");
	if ((denominator === undefined) === (type === "ratio")) {
		const given = denominator !== undefined;
		const hint = given ? "remove it, or write type: ratio" : "add denominator: requests, or the name of a Metric";
		at("denominator", given ? `is given for type ${type}` : "is missing for type ratio", hint);
	}
	if (type === "ratio" && source !== "outcome") at("type", `is ratio with source ${source}`, "write source: outcome");
	if (type === "ratio" && perUnit === "mean")
		at("perUnit", "is mean for type ratio", "remove it: a ratio is of sums over all units");
	if (cap !== undefined && (type === "rate" || range !== undefined))
		at("cap", "is given for a bounded metric", "remove it: what is bounded needs no cap");
	if (cap !== undefined && type === "ratio") at("cap", "is given for type ratio", "remove it");
	if (covariate !== undefined && (type === "rate" || range !== undefined)) {
		const hint = "remove it, or write type: mean without range: exact tests of bounded values take no covariate";
		at("covariate", "is given for a bounded metric", hint);
	}
	return {
		type,
		source,
		direction: direction ?? (source === "outcome" ? "up" : "down"),
		windowMs: window,
		quantile: quantile ?? null,
		missing: missing ?? "exclude",
		perUnit: perUnit ?? (type === "ratio" ? "sum" : "mean"),
		range: type === "rate" ? { lo: 0, hi: 1 } : range === undefined ? null : { lo, hi },
		denominator: denominator === undefined ? null : denominator === "requests" ? "requests" : { metric: denominator },
		cap: cap ?? null,
		covariateMs: covariate?.lookback ?? null,
		senders,
	};
});

export const metricSchema: z.ZodType<Metric> = resource(
	"Metric",
	"A measurement of each unit in a time window from its first exposure.",
	spec,
);
