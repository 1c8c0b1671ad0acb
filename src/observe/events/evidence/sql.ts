/** Fragments of DuckDB's SQL that the statements over observations share. */

/** A text literal. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Expressions take and give SQL text. Aggregates pass over rows where an argument is null. */
export const sql = {
	// Kahan's compensated sums: of six thousand equal values plain addition loses three digits.
	mean: (value: string) => `favg(${value})`,
	sum: (value: string) => `fsum(${value})`,
	// Welford's, merged by Chan's formula. Population variance and covariance; null of an empty group.
	variance: (value: string) => `var_pop(${value})`,
	covariance: (one: string, other: string) => `covar_pop(${one}, ${other})`,
	/** Place of a text among those of the list, from 1; for a text that is one of them. */
	placeIn: (list: readonly string[], value: string) => `list_position([${list.map(text).join(", ")}], ${value})`,
	/** Number of the list at a place, counted from 1. */
	numberAt: (list: readonly number[], place: string) => `[${list.join(", ")}][${place}]`,
	/** A null that is a double. */
	nothing: "CAST(NULL AS DOUBLE)",
	/** 64-bit whole number. */
	whole: (value: string) => `CAST(${value} AS BIGINT)`,
} as const;
