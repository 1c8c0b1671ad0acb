/**
 * SQL that makes aggregates of events: a unit's values from its outcomes, moments of units' values, and the merge of
 * moments. SELECTs without parameters.
 *
 * An observation has up to four variables x0…x3, in the order of infer/statistics/statistics/coMoments.ts: value; numerator,
 * denominator; value, value before; numerator, denominator, numerator before, denominator before.
 */
import { RANGE_SLACK } from "../../../infer/statistics/statistics/extremes.js";
import { BETS } from "../../../infer/statistics/statistics/logCapital.js";
import { sql, text } from "../store/sql.js";

/** Most variables of an observation. */
export const VARIABLES_MAX = 4;

const DAY_MS = 86_400_000;

/** Number of the UTC day of a time in milliseconds: the resolution of first-exposure periods. */
export const dayOf = (ms: string): string => `(${ms} // ${DAY_MS})`;

export const dayStartMs = (day: number): number => day * DAY_MS;

/** The outcomes that a series of observations needs. */
export interface Wanted {
	/** Number of the series. */
	readonly series: number;
	/** Name in outcomes. */
	readonly name: string;
	/** Name of the metric summed as the denominator; null = none, or not an outcome. */
	readonly denominator: string | null;
	/** Length of the covariate period before the first exposure; null = no covariate. */
	readonly beforeMs: number | null;
	readonly perUnit: "mean" | "sum";
	readonly missing: "exclude" | "zero";
	readonly cap: number | null;
}

/**
 * Sums by series and unit: `n` and `s` of the values in the window, `nd` and `sd` of the denominator's, `bn`, `bs` and
 * `bd` before the first exposure. Values received by the unit's due time count.
 * @param events relation of outcomes: metric, unit, experiment, value, event_ms, received_ms
 * @param due relation of units: ordinal, unit, first_ms, due_ms
 */
export function unitSums(asked: UnitSums): string {
	const plain =
		asked.wanted.every(isPlain) && new Set(asked.wanted.map(({ name }) => name)).size === asked.wanted.length;
	return plain ? plainSums(asked) : sumsByRole(asked);
}

/** Whether an observation has one variable: one outcome after the first exposure. */
export const isPlain = ({ denominator, beforeMs }: Wanted): boolean => denominator === null && beforeMs === null;

/** Condition for outcomes that count for unit d. */
const counting = (experiment: string, windowMs: number, beforeMs: string): string =>
	`(o.experiment IS NULL OR o.experiment = ${text(experiment)}) AND o.received_ms <= d.due_ms
			AND o.event_ms >= d.first_ms${beforeMs} AND o.event_ms <= d.first_ms + ${windowMs}`;

/**
 * Sums where each outcome belongs to at most one series. The list lookup runs after grouping: the engine looks up a name
 * once for all rows that share its text, but a number once per row.
 */
function plainSums({ wanted, events, due, experiment, windowMs }: UnitSums): string {
	const names = wanted.map(({ name }) => name);
	const none = `0 AS nd, ${sql.nothing} AS sd, 0 AS bn, ${sql.nothing} AS bs, ${sql.nothing} AS bd`;
	return `SELECT ${sql.numberAt(
		wanted.map(({ series }) => series),
		"g.place",
	)} AS series, g.ordinal AS ordinal, g.n AS n, g.s AS s, ${none} FROM (
		SELECT p.place AS place, p.ordinal AS ordinal, count(*) AS n, ${sql.sum("p.value")} AS s FROM (
			SELECT ${sql.placeIn(names, "o.metric")} AS place, d.ordinal AS ordinal, o.value AS value
			FROM ${events} o JOIN ${due} d ON o.unit = d.unit
			WHERE o.metric IN (${names.map(text).join(", ")}) AND ${counting(experiment, windowMs, "")}) p
		GROUP BY p.place, p.ordinal) g`;
}

function sumsByRole({ wanted, events, due, experiment, windowMs }: UnitSums): string {
	const roles = wanted.flatMap(({ series, name, denominator, beforeMs }) => [
		{ series, name, role: 0, beforeMs: beforeMs ?? 0 },
		...(denominator === null ? [] : [{ series, name: denominator, role: 1, beforeMs: beforeMs ?? 0 }]),
	]);
	const list = roles.map(
		({ series, name, role, beforeMs }) =>
			`SELECT ${series} AS series, ${text(name)} AS name, ${role} AS role, ${sql.whole(String(beforeMs))} AS before_ms`,
	);
	const inside = "o.event_ms >= d.first_ms";
	const when = (condition: string, value: string): string => `CASE WHEN ${condition} THEN ${value} END`;
	const sums = `count(${when(`w.role = 0 AND ${inside}`, "1")}) AS n, ${sql.sum(when(`w.role = 0 AND ${inside}`, "o.value"))} AS s,
			count(${when(`w.role = 1 AND ${inside}`, "1")}) AS nd, ${sql.sum(when(`w.role = 1 AND ${inside}`, "o.value"))} AS sd,
			count(${when(`w.role = 0 AND NOT (${inside})`, "1")}) AS bn,
			${sql.sum(when(`w.role = 0 AND NOT (${inside})`, "o.value"))} AS bs,
			${sql.sum(when(`w.role = 1 AND NOT (${inside})`, "o.value"))} AS bd`;
	return `SELECT w.series AS series, d.ordinal AS ordinal, ${sums}
		FROM ${events} o JOIN (${list.join(" UNION ALL ")}) w ON o.metric = w.name JOIN ${due} d ON o.unit = d.unit
		WHERE ${counting(experiment, windowMs, " - w.before_ms")}
		GROUP BY w.series, d.ordinal`;
}

interface UnitSums {
	readonly wanted: readonly Wanted[];
	readonly events: string;
	readonly due: string;
	readonly experiment: string;
	readonly windowMs: number;
}

/**
 * Observations from unitSums(): series, ordinal, x0…x3. A unit without a row there has none here; in a series with
 * missing zero it counts as zero in every variable. x1 of a covariate is null if perUnit is mean and there is nothing
 * before. Series of the same shape are computed together.
 */
export function unitValues(wanted: readonly Wanted[], sums: string): string {
	const groups = shapes(wanted);
	const selects = [...groups.values()].flatMap((group) => {
		const [first] = group;
		return first === undefined ? [] : [valuesAlike(first, sums, groups.size === 1 ? null : group)];
	});
	return selects.join(" UNION ALL ");
}

/** Whether one SELECT computes the values of all of them. */
export const alike = (wanted: readonly Wanted[]): boolean => shapes(wanted).size <= 1;

function shapes(wanted: readonly Wanted[]): ReadonlyMap<string, readonly Wanted[]> {
	const groups = new Map<string, Wanted[]>();
	for (const one of wanted) {
		const { perUnit, missing, cap, denominator, beforeMs } = one;
		const key = JSON.stringify([perUnit, missing, cap, denominator !== null, beforeMs !== null]);
		groups.set(key, [...(groups.get(key) ?? []), one]);
	}
	return groups;
}

/** @param only the series to read; null = all */
function valuesAlike(shape: Wanted, sums: string, only: readonly Wanted[] | null): string {
	const { denominator, beforeMs, perUnit, missing, cap } = shape;
	const capped = (value: string): string =>
		cap === null ? value : `(CASE WHEN ${value} > ${double(cap)} THEN ${double(cap)} ELSE ${value} END)`;
	const value = (sum: string, n: string, none: string): string =>
		`CASE WHEN f.${n} > 0 THEN ${capped(perUnit === "sum" ? `f.${sum}` : `f.${sum} / f.${n}`)} ELSE ${none} END`;
	const total = (sum: string): string => `coalesce(f.${sum}, ${double(0)})`;
	const blank = perUnit === "sum" ? double(0) : sql.nothing;
	const variables =
		denominator === null
			? [value("s", "n", double(0)), ...(beforeMs === null ? [] : [value("bs", "bn", blank)])]
			: [total("s"), total("sd"), ...(beforeMs === null ? [] : [total("bs"), total("bd")])];
	const conditions = [
		...(only === null ? [] : [`f.series IN (${only.map(({ series }) => series).join(", ")})`]),
		...(missing === "zero" ? [] : [denominator === null ? "f.n > 0" : "f.n + f.nd > 0"]),
	];
	const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
	return `SELECT f.series AS series, f.ordinal AS ordinal, ${columns(variables)} FROM ${sums} f${where}`;
}

/** A double literal in every engine: a plain 0.1 is a decimal. */
export const double = (value: number): string => {
	const digits = value.toExponential();
	return `CAST('${digits}' AS DOUBLE)`;
};

/** Expressions for x0…x3, null beyond the given ones. */
export function columns(variables: readonly string[]): string {
	return Array.from({ length: VARIABLES_MAX }, (_, i) => `${variables[i] ?? sql.nothing} AS x${i}`).join(", ");
}

/** (i, j) of the packed triangle of coMoments.ts, for k variables. */
function pairs(k: number): readonly (readonly [number, number])[] {
	return Array.from({ length: k }, (_, i) => Array.from({ length: i + 1 }, (_, j) => [i, j] as const)).flat();
}

/** Columns of moments after the keys, in order. */
export const MOMENT_COLUMNS: readonly string[] = [
	"n",
	...Array.from({ length: VARIABLES_MAX }, (_, i) => `mean${i}`),
	...pairs(VARIABLES_MAX).map(([i, j]) => `m${i}${j}`),
	...Array.from({ length: VARIABLES_MAX }, (_, i) => [`lo${i}`, `hi${i}`]).flat(),
];

/**
 * Moments of the first k variables by the keys: n, mean0…, m00, m10, m11, … (sums of products of deviations), and their
 * extremes lo0, hi0, …; null beyond k. Rows of one group must have the same variables, so make `x1 IS NULL` a key.
 */
export function momentsOfRows(k: number, keys: readonly string[], from: string): string {
	const means = Array.from({ length: VARIABLES_MAX }, (_, i) => {
		return `${i < k ? sql.mean(`x${i}`) : sql.nothing} AS mean${i}`;
	});
	const products = pairs(VARIABLES_MAX).map(([i, j]) => {
		const spread = i === j ? sql.variance(`x${i}`) : sql.covariance(`x${i}`, `x${j}`);
		return `${i < k ? `${spread} * count(x${i})` : sql.nothing} AS m${i}${j}`;
	});
	const extremes = extremesOf(k, (i) => [`x${i}`, `x${i}`]);
	return `SELECT ${keys.join(", ")}, count(x0) AS n, ${[...means, ...products, ...extremes].join(", ")} FROM ${from} GROUP BY ${keys.join(", ")}`;
}

/** Minimum and maximum of each variable's expression. */
function extremesOf(k: number, of: (i: number) => readonly [string, string]): readonly string[] {
	return Array.from({ length: VARIABLES_MAX }, (_, i) => {
		const [lo, hi] = i < k ? [`min(${of(i)[0]})`, `max(${of(i)[1]})`] : [sql.nothing, sql.nothing];
		return [`${lo} AS lo${i}`, `${hi} AS hi${i}`];
	}).flat();
}

/**
 * Merges rows of moments (with their counts `closed`) by the keys.
 * Source: Chan, Golub & LeVeque (1979), equations 2.1, and Pébay, SAND2008-6212, equation 3.12, summed over the parts:
 * M = Σ M_i + Σ n_i (mean_i − mean)(mean_i − mean)ᵀ.
 */
export function mergedMoments(k: number, keys: readonly string[], from: string): string {
	const each = Array.from({ length: k }, (_, i) => i);
	const by = `PARTITION BY ${keys.join(", ")}`;
	const centres = each.map((i) => `sum(n * mean${i}) OVER (${by}) / nullif(sum(n) OVER (${by}), 0) AS centre${i}`);
	const means = Array.from(
		{ length: VARIABLES_MAX },
		(_, i) => `${i < k ? `max(centre${i})` : sql.nothing} AS mean${i}`,
	);
	const products = pairs(VARIABLES_MAX).map(([i, j]) => {
		const between = `n * (mean${i} - centre${i}) * (mean${j} - centre${j})`;
		return `${i < k ? `sum(m${i}${j}) + sum(${between})` : sql.nothing} AS m${i}${j}`;
	});
	const extremes = extremesOf(k, (i) => [`lo${i}`, `hi${i}`]);
	return `SELECT ${keys.join(", ")}, ${sql.whole("sum(closed)")} AS closed, ${sql.whole("sum(n)")} AS n,
		${[...means, ...products, ...extremes].join(", ")}
		FROM (SELECT *, ${centres.join(", ")} FROM ${from}) centred GROUP BY ${keys.join(", ")}`;
}

/** Columns of log-capital after the keys, in order. */
export const CAPITAL_COLUMNS: readonly string[] = [
	"n",
	"outside",
	...BETS.map((_, i) => `up${i}`),
	...BETS.map((_, i) => `down${i}`),
];

/**
 * Log-capital by the keys, of the given series, each with its range: n units, up0… and down0… as in
 * infer/statistics/statistics/logCapital.ts, of x0 as a share of the range; `outside` counts values out of range, which are in
 * no sum.
 */
export function capitalOfRows(
	of: readonly { readonly series: number; readonly lo: number; readonly hi: number }[],
	keys: readonly string[],
	from: string,
): string {
	const bySeries = (value: (one: (typeof of)[number]) => number): string =>
		`CASE ${of.map((one) => `WHEN series = ${one.series} THEN ${double(value(one))}`).join(" ")} END`;
	const share = `(x0 - ${bySeries(({ lo }) => lo)}) / ${bySeries(({ lo, hi }) => hi - lo)}`;
	// A value out of range only by rounding is moved to the bound.
	const inside = `CASE WHEN share < ${double(0)} THEN ${double(0)} WHEN share > ${double(1)} THEN ${double(1)} ELSE share END`;
	const placed = `(SELECT *, CASE WHEN share BETWEEN ${double(-RANGE_SLACK)} AND ${double(1 + RANGE_SLACK)} THEN ${inside} END AS y
		FROM (SELECT *, ${share} AS share FROM ${from}) shares WHERE series IN (${of.map(({ series }) => series).join(", ")})) placed`;
	const sum = (bet: number, value: string, name: string): string =>
		`coalesce(sum(ln(1 + ${double(bet)} * ${value})), ${double(0)}) AS ${name}`;
	const sums = [
		...BETS.map((bet, i) => sum(bet, "y", `up${i}`)),
		...BETS.map((bet, i) => sum(bet, "(1 - y)", `down${i}`)),
	];
	return `SELECT ${keys.join(", ")}, ${sql.whole("count(y)")} AS n, ${sql.whole("count(*) - count(y)")} AS outside,
		${sums.join(", ")} FROM ${placed} GROUP BY ${keys.join(", ")}`;
}
