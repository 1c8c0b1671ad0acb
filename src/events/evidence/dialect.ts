/**
 * What differs between the engines that aggregate. Every statement over observations (aggregateSql.ts) is written once
 * in the SQL that DuckDB, Spark SQL and ClickHouse share, and asks the dialect for the rest.
 */

/** A text literal. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Expressions take and give SQL text. Aggregates pass over rows where an argument is null, as standard SQL does. */
export interface Dialect {
	/** Mean of a group; null of an empty one. */
	readonly mean: (value: string) => string;
	/** Sum of a group, compensated where the engine can: of six thousand equal values plain addition loses three digits. */
	readonly sum: (value: string) => string;
	/** Population variance of a group by a method that keeps its digits far from zero; null of an empty one. */
	readonly variance: (value: string) => string;
	/** Population covariance of a group over the rows where both are there; null where there is none. */
	readonly covariance: (one: string, other: string) => string;
	/** Whole part of a quotient of whole numbers that are not negative. */
	readonly quotient: (value: string, by: number) => string;
	/** Place of a text among those of the list, from 1; for a text that is one of them. */
	readonly placeIn: (list: readonly string[], value: string) => string;
	/** Number of the list at a place, counted from 1. */
	readonly numberAt: (list: readonly number[], place: string) => string;
	/** A null that is a double. */
	readonly nothing: string;
	/** 64-bit whole number. */
	readonly whole: (value: string) => string;
	/** Said at the end of a statement, so that it means what standard SQL means. */
	readonly settings: string;
}

export const DUCKDB: Dialect = {
	// Kahan's compensated sums; variance and covariance are Welford's, merged by Chan's formula.
	mean: (value) => `favg(${value})`,
	sum: (value) => `fsum(${value})`,
	variance: (value) => `var_pop(${value})`,
	covariance: (one, other) => `covar_pop(${one}, ${other})`,
	quotient: (value, by) => `(${value} // ${by})`,
	placeIn: (list, value) => `list_position([${list.map(text).join(", ")}], ${value})`,
	numberAt: (list, place) => `[${list.join(", ")}][${place}]`,
	nothing: "CAST(NULL AS DOUBLE)",
	whole: (value) => `CAST(${value} AS BIGINT)`,
	settings: "",
};

export const SPARK: Dialect = {
	sum: (value) => `sum(${value})`,
	mean: (value) => `avg(${value})`,
	variance: (value) => `var_pop(${value})`,
	covariance: (one, other) => `covar_pop(${one}, ${other})`,
	quotient: (value, by) => `(${value} div ${by})`,
	placeIn: (list, value) => `array_position(array(${list.map(text).join(", ")}), ${value})`,
	numberAt: (list, place) => `element_at(array(${list.join(", ")}), CAST(${place} AS INT))`,
	nothing: "CAST(NULL AS DOUBLE)",
	whole: (value) => `CAST(${value} AS BIGINT)`,
	settings: "",
};

export const CLICKHOUSE: Dialect = {
	sum: (value) => `sumKahan(${value})`,
	mean: (value) => `avg(${value})`,
	// varPop subtracts squares of sums: wrong from the eighth digit on where the mean is 1e4 times the spread.
	variance: (value) => `varPopStable(${value})`,
	covariance: (one, other) => `covarPopStable(${one}, ${other})`,
	quotient: (value, by) => `intDiv(${value}, ${by})`,
	placeIn: (list, value) => `indexOf([${list.map(text).join(", ")}], ${value})`,
	numberAt: (list, place) => `[${list.join(", ")}][${place}]`,
	nothing: "CAST(NULL AS Nullable(Float64))",
	whole: (value) => `CAST(${value} AS Int64)`,
	// Else an outer join fills in zeros, an aggregate over no rows is 0 or NaN, and a name means a column's new value.
	settings: "SETTINGS join_use_nulls = 1, aggregate_functions_null_for_empty = 1, prefer_column_name_to_alias = 1",
};
