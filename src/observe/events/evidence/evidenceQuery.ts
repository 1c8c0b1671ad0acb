/** Parses evidence queries from the socket. */
import { WeirError } from "../../../error.js";
import type { EvidenceMetric, EvidenceQuery, SlowThreshold } from "../../../infer/statistics/evidence.js";
import { THRESHOLDS_TOGETHER } from "../../../limits/index.js";
import {
	type Check,
	type Fields,
	fail,
	integer,
	list,
	members,
	object,
	oneOf,
	orNull,
	ShapeError,
	text,
} from "../../../trust/clients/jsonShape.js";
import type { BaselineQuery } from "./baselineQuantile.js";

/** Quantiles in one query of a sample; a grid of thresholds has 20. */
export const QUANTILES_ASKED_MAX = 64;

const finite: Check<number> = (value) =>
	typeof value === "number" && Number.isFinite(value) ? value : fail("is not a finite number");
const quantile: Check<number> = (value) =>
	finite(value) > 0 && finite(value) < 1 ? (value as number) : fail("is not between 0 and 1");
const milliseconds = integer(0);

const orWord =
	<Word extends string, Value>(word: Word, check: Check<Value>): Check<Word | Value> =>
	(value) =>
		value === word ? word : check(value);

const atMost =
	<Item>(most: number, check: Check<readonly Item[]>): Check<readonly Item[]> =>
	(value) => {
		const items = check(value);
		return items.length <= most ? items : fail(`has ${items.length} items, more than ${most}`);
	};

/** @param optional fields that may be absent */
const partly =
	<Value extends object>(fields: Fields<Value>, optional: readonly string[]): Check<Value> =>
	(value) => {
		const given = members(value);
		const checked = Object.entries(fields).filter(([name]) => name in given || !optional.includes(name));
		return object(Object.fromEntries(checked) as Fields<Value>)(value);
	};

const threshold = partly<SlowThreshold>(
	{
		thresholdMs: finite,
		baseline: object<SlowThreshold["baseline"]>({ arm: text, thresholdMs: finite }),
		frozenAtMs: milliseconds,
		further: atMost(THRESHOLDS_TOGETHER - 1, list(object({ thresholdMs: finite, baselineMs: finite }))),
	},
	["further"],
);

const range: Check<NonNullable<EvidenceMetric["range"]>> = (value) => {
	const bounds = object<NonNullable<EvidenceMetric["range"]>>({ lo: finite, hi: finite })(value);
	return bounds.lo < bounds.hi ? bounds : fail("is not two rising numbers");
};

const metric = object<EvidenceMetric>({
	name: text,
	source: oneOf("outcome", "latency", "errors"),
	windowMs: milliseconds,
	settleMs: milliseconds,
	missing: oneOf("exclude", "zero"),
	perUnit: oneOf("mean", "sum"),
	denominator: orNull(orWord("requests", object({ metric: text }))),
	covariateMs: orNull(milliseconds),
	cap: orNull(orWord("unfrozen", object({ value: finite, frozenAtMs: milliseconds }))),
	threshold: orNull(orWord("unfrozen", threshold)),
	range: orNull(range),
});

const metrics: Check<readonly EvidenceMetric[]> = (value) => {
	const all = list(metric)(value);
	return new Set(all.map(({ name }) => name)).size === all.length ? all : fail("does not have distinct names");
};

const evidenceQuery = partly<EvidenceQuery>(
	{
		experiment: text,
		service: text,
		metrics,
		healthSinceMs: milliseconds,
		segments: list(text),
		interactsWith: list(text),
		coreFromMs: milliseconds,
		exposedAfterMs: milliseconds,
		closeUntilMs: milliseconds,
	},
	["coreFromMs", "exposedAfterMs", "closeUntilMs"],
);

const baselineQuery = partly<BaselineQuery>(
	{
		experiment: text,
		service: text,
		quantile,
		sinceMs: milliseconds,
		untilMs: milliseconds,
		valuesOf: metric,
		others: atMost(QUANTILES_ASKED_MAX, list(quantile)),
	},
	["valuesOf", "others"],
);

/** @throws WeirError `invalid-argument` unless it is exactly a query */
export const parseEvidenceQuery = (json: unknown): EvidenceQuery => parse(evidenceQuery, json);

/** @throws WeirError `invalid-argument` */
export const parseBaselineQuery = (json: unknown): BaselineQuery => parse(baselineQuery, json);

function parse<Query>(check: Check<Query>, json: unknown): Query {
	try {
		return check(json);
	} catch (error) {
		if (!(error instanceof ShapeError)) throw error;
		throw new WeirError("invalid-argument", `${error.path.join(", ") || "the query"} ${error.message}`);
	}
}
