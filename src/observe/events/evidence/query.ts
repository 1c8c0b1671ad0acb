/** Parses evidence queries from the socket. */

import { WeirError } from "../../../error.js";
import type { EvidenceMetric, EvidenceQuery, SlowThreshold } from "../../../infer/statistics/evidence.js";
import { THRESHOLDS_TOGETHER } from "../../../limits/index.js";
import type { BaselineQuery } from "./baselineQuantile.js";

/** Quantiles in one query of a sample; a grid of thresholds has 20. */
export const QUANTILES_ASKED_MAX = 64;

type Fields = Readonly<Record<string, unknown>>;

/** Optional times of a query. */
const TIMES = ["coreFromMs", "exposedAfterMs", "closeUntilMs"] as const;

/** @throws WeirError `invalid-argument` unless it is exactly a query */
export function parseEvidenceQuery(json: unknown): EvidenceQuery {
	const times = TIMES.filter((name) => typeof json === "object" && json !== null && name in json);
	const query = fields(json, "the query", [
		...times,
		"experiment",
		"service",
		"metrics",
		"healthSinceMs",
		"segments",
		"interactsWith",
	]);
	if (!Array.isArray(query.metrics)) throw wrong("metrics", "an array");
	const metrics = query.metrics.map(parseMetric);
	if (new Set(metrics.map((metric) => metric.name)).size !== metrics.length)
		throw wrong("metrics", "metrics with distinct names");
	return {
		experiment: text(query, "experiment"),
		service: text(query, "service"),
		metrics,
		healthSinceMs: milliseconds(query, "healthSinceMs"),
		segments: names(query, "segments"),
		interactsWith: names(query, "interactsWith"),
		...Object.fromEntries(times.map((name) => [name, milliseconds(query, name)])),
	};
}

/** @throws WeirError `invalid-argument` */
export function parseBaselineQuery(json: unknown): BaselineQuery {
	const names = ["experiment", "service", "quantile", "sinceMs", "untilMs"];
	const [ofValues, withOthers] = ["valuesOf", "others"].map((name) => has(json, name));
	const query = fields(json, "the query", [
		...names,
		...(ofValues ? ["valuesOf"] : []),
		...(withOthers ? ["others"] : []),
	]);
	const { quantile } = query;
	if (!isQuantile(quantile)) throw wrong("quantile", "a number between 0 and 1");
	return {
		experiment: text(query, "experiment"),
		service: text(query, "service"),
		quantile,
		sinceMs: milliseconds(query, "sinceMs"),
		untilMs: milliseconds(query, "untilMs"),
		...(ofValues ? { valuesOf: parseMetric(query.valuesOf) } : {}),
		...(withOthers ? { others: parseOthers(query.others) } : {}),
	};
}

const has = (json: unknown, name: string): boolean => typeof json === "object" && json !== null && name in json;

const isQuantile = (value: unknown): value is number => typeof value === "number" && value > 0 && value < 1;

function parseOthers(json: unknown): readonly number[] {
	if (!Array.isArray(json) || json.length > QUANTILES_ASKED_MAX || !json.every(isQuantile))
		throw wrong("others", `at most ${QUANTILES_ASKED_MAX} numbers between 0 and 1`);
	return json;
}

function parseMetric(json: unknown): EvidenceMetric {
	const metric = fields(json, "a metric", [
		"name",
		"source",
		"windowMs",
		"settleMs",
		"missing",
		"perUnit",
		"denominator",
		"covariateMs",
		"cap",
		"threshold",
		"range",
	]);
	const { source, missing, threshold, perUnit, denominator, cap, range } = metric;
	if (source !== "outcome" && source !== "latency" && source !== "errors")
		throw wrong("source", "outcome, latency or errors");
	if (missing !== "exclude" && missing !== "zero") throw wrong("missing", "exclude or zero");
	if (perUnit !== "mean" && perUnit !== "sum") throw wrong("perUnit", "mean or sum");
	return {
		name: text(metric, "name"),
		source,
		windowMs: milliseconds(metric, "windowMs"),
		settleMs: milliseconds(metric, "settleMs"),
		missing,
		perUnit,
		denominator: denominator === null || denominator === "requests" ? denominator : parseDenominator(denominator),
		covariateMs: metric.covariateMs === null ? null : milliseconds(metric, "covariateMs"),
		cap: cap === null || cap === "unfrozen" ? cap : parseCap(cap),
		threshold: threshold === null || threshold === "unfrozen" ? threshold : parseThreshold(threshold),
		range: range === null ? null : parseRange(range),
	};
}

function parseDenominator(json: unknown): EvidenceMetric["denominator"] {
	return { metric: text(fields(json, "denominator", ["metric"]), "metric") };
}

function parseCap(json: unknown): EvidenceMetric["cap"] {
	const cap = fields(json, "cap", ["value", "frozenAtMs"]);
	return { value: finite(cap, "value"), frozenAtMs: milliseconds(cap, "frozenAtMs") };
}

function parseRange(json: unknown): EvidenceMetric["range"] {
	const range = fields(json, "range", ["lo", "hi"]);
	const [lo, hi] = [finite(range, "lo"), finite(range, "hi")];
	if (!(lo < hi)) throw wrong("range", "two rising numbers");
	return { lo, hi };
}

function parseThreshold(json: unknown): EvidenceMetric["threshold"] {
	const alone = ["thresholdMs", "baseline", "frozenAtMs"];
	const threshold = fields(json, "threshold", has(json, "further") ? [...alone, "further"] : alone);
	const baseline = fields(threshold.baseline, "baseline", ["arm", "thresholdMs"]);
	return {
		thresholdMs: finite(threshold, "thresholdMs"),
		baseline: { arm: text(baseline, "arm"), thresholdMs: finite(baseline, "thresholdMs") },
		frozenAtMs: milliseconds(threshold, "frozenAtMs"),
		...("further" in threshold ? { further: parseFurther(threshold.further) } : {}),
	};
}

function parseFurther(json: unknown): NonNullable<SlowThreshold["further"]> {
	if (!Array.isArray(json) || json.length >= THRESHOLDS_TOGETHER)
		throw wrong("further", `fewer than ${THRESHOLDS_TOGETHER} thresholds`);
	return json.map((one) => {
		const pair = fields(one, "a further threshold", ["thresholdMs", "baselineMs"]);
		return { thresholdMs: finite(pair, "thresholdMs"), baselineMs: finite(pair, "baselineMs") };
	});
}

function wrong(field: string, expected: string): WeirError {
	return new WeirError("invalid-argument", `${field} is not ${expected}`);
}

/** An object with exactly these fields. */
function fields(json: unknown, what: string, names: readonly string[]): Fields {
	if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong(what, "an object");
	const keys = Object.keys(json);
	const odd = keys.find((key) => !names.includes(key)) ?? names.find((name) => !keys.includes(name));
	if (odd !== undefined)
		throw new WeirError(
			"invalid-argument",
			`${what} has an unknown or missing field`,
			`it has exactly ${names.join(", ")}`,
		);
	return { ...json };
}

function text(from: Fields, field: string): string {
	const value = from[field];
	if (typeof value !== "string" || value === "") throw wrong(field, "a name");
	return value;
}

function finite(from: Fields, field: string): number {
	const value = from[field];
	if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(field, "a finite number");
	return value;
}

function names(from: Fields, field: string): readonly string[] {
	const value = from[field];
	if (!Array.isArray(value) || !value.every((one) => typeof one === "string" && one !== ""))
		throw wrong(field, "a list of names");
	return value;
}

/** A whole number of milliseconds, rounded down. */
function milliseconds(from: Fields, field: string): number {
	const value = from[field];
	if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw wrong(field, "a time in milliseconds");
	return Math.floor(value);
}
