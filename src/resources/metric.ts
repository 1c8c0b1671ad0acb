/** Metric: what is measured of a unit, from outcomes or from the access log. */
import { z } from "zod";
import { resource } from "./metadata.js";
import type { Metric } from "./resource.js";
import { duration } from "./scalar.js";
import { spiffeId } from "./spiffe.js";
import { fields, oneOf, say, uniqueList } from "./strict.js";

const QUANTILE_HINT = "write a number above 0 and below 1, such as 0.99";

const spec = fields({
	type: oneOf("mean", "rate", "ratio", "quantile").meta({
		description: "mean: any real outcome. rate: values in [0,1]. quantile: of the request latency.",
	}),
	source: oneOf("outcome", "latency", "errors")
		.default("outcome")
		.meta({ description: "outcome: rows posted under this metric's name. latency, errors: from the access log." }),
	direction: oneOf("up", "down")
		.optional()
		.meta({ description: "Which way is better; default up for outcomes, down for latency and errors." }),
	window: duration(1)
		.prefault("1h")
		.meta({ description: "A unit's observation covers this long after its first exposure." }),
	quantile: z
		.number({ error: QUANTILE_HINT })
		.gt(0, { error: QUANTILE_HINT })
		.lt(1, { error: QUANTILE_HINT })
		.optional()
		.meta({ description: "Only for type quantile, such as 0.99." }),
	missing: oneOf("exclude", "zero")
		.optional()
		.meta({ description: "A unit without any outcome in its window: left out (the default), or 0." }),
	senders: uniqueList(spiffeId, "write a list of SPIFFE ids")
		.default([])
		.meta({ description: "Who may post its outcomes; empty: only control's own user, over its UNIX socket." }),
}).transform((value, context): Metric["spec"] => {
	const { type, source, direction, window, quantile, missing, senders } = value;
	const at = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: say(what, hint), path: [field], input: value });
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
		at("senders", `is given for source ${source}`, "remove it: nobody posts what Envoy measures");
	}
	if (missing !== undefined && source !== "outcome") {
		at("missing", `is given for source ${source}`, "remove it: every exposed unit has requests");
	}
	return {
		type,
		source,
		direction: direction ?? (source === "outcome" ? "up" : "down"),
		windowMs: window,
		quantile: quantile ?? null,
		missing: missing ?? "exclude",
		senders,
	};
});

export const metricSchema: z.ZodType<Metric> = resource(
	"Metric",
	"What is measured of a unit in a window since its first exposure.",
	spec,
);
