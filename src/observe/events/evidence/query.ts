/** Parses evidence queries from the socket. */
import { z } from "zod";
import { WeirError } from "../../../error.js";
import type { EvidenceQuery } from "../../../infer/statistics/evidence.js";
import { THRESHOLDS_TOGETHER } from "../../../limits/index.js";
import type { BaselineQuery } from "./baselineQuantile.js";

/** Quantiles in one query of a sample; a grid of thresholds has 20. */
export const QUANTILES_ASKED_MAX = 64;

const name = z.string().min(1);
const finite = z.number();
/** A whole number of milliseconds, rounded down. */
const milliseconds = z.number().nonnegative().transform(Math.floor);
const quantile = z.number().gt(0).lt(1);

const threshold = z.strictObject({
	thresholdMs: finite,
	baseline: z.strictObject({ arm: name, thresholdMs: finite }),
	frozenAtMs: milliseconds,
	further: z
		.array(z.strictObject({ thresholdMs: finite, baselineMs: finite }))
		.max(THRESHOLDS_TOGETHER - 1)
		.exactOptional(),
});

const metric = z.strictObject({
	name,
	source: z.enum(["outcome", "latency", "errors"]),
	windowMs: milliseconds,
	settleMs: milliseconds,
	missing: z.enum(["exclude", "zero"]),
	perUnit: z.enum(["mean", "sum"]),
	denominator: z.union([z.literal("requests"), z.strictObject({ metric: name })]).nullable(),
	covariateMs: milliseconds.nullable(),
	cap: z.union([z.literal("unfrozen"), z.strictObject({ value: finite, frozenAtMs: milliseconds })]).nullable(),
	threshold: z.union([z.literal("unfrozen"), threshold]).nullable(),
	range: z
		.strictObject({ lo: finite, hi: finite })
		.refine(({ lo, hi }) => lo < hi)
		.nullable(),
});

const evidenceQuery: z.ZodType<EvidenceQuery> = z.strictObject({
	experiment: name,
	service: name,
	metrics: z.array(metric).refine((all) => new Set(all.map((one) => one.name)).size === all.length),
	healthSinceMs: milliseconds,
	segments: z.array(name),
	interactsWith: z.array(name),
	coreFromMs: milliseconds.exactOptional(),
	exposedAfterMs: milliseconds.exactOptional(),
	closeUntilMs: milliseconds.exactOptional(),
});

const baselineQuery: z.ZodType<BaselineQuery> = z.strictObject({
	experiment: name,
	service: name,
	quantile,
	sinceMs: milliseconds,
	untilMs: milliseconds,
	valuesOf: metric.exactOptional(),
	others: z.array(quantile).max(QUANTILES_ASKED_MAX).exactOptional(),
});

/** @throws WeirError `invalid-argument` unless it is exactly a query */
export const parseEvidenceQuery = (json: unknown): EvidenceQuery => parse(evidenceQuery, json);

/** @throws WeirError `invalid-argument` */
export const parseBaselineQuery = (json: unknown): BaselineQuery => parse(baselineQuery, json);

function parse<Query>(schema: z.ZodType<Query>, json: unknown): Query {
	const { success, data, error } = schema.safeParse(json);
	if (success) return data;
	const [issue] = error.issues;
	const where = issue === undefined || issue.path.length === 0 ? "the query" : issue.path.join(".");
	throw new WeirError("invalid-argument", `${where}: ${issue?.message ?? "invalid"}`);
}
